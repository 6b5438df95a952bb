"""A study's report, made from its trials' files alone: ``build.write`` writes it, ``build.check`` recomputes it."""
