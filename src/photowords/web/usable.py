"""Whether the page's model, device and precision can be used here. Asked of a process of its own, which has torch."""

from __future__ import annotations

import subprocess
import sys

from photowords.errors import UserError


def check(model: str, device: str, dtype: str) -> None:
    """Raise UserError for what would be refused whenever the page needs it; a model on the hub is not looked for."""
    if (model, device, dtype) == ("auto", "auto", "auto"):
        return
    asked = [sys.executable, "-m", "photowords.web.usable", model, device, dtype]
    done = subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(done.stdout.strip() or f"the model, device and precision cannot be looked up: {asked}")


def main(model: str, device: str, dtype: str) -> None:
    from photowords import backbones

    try:
        backbones.choose_dtype(backbones.choose_device(device), dtype)
        if model != "auto":
            backbones.check(model)
    except UserError as error:
        print(error)
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
