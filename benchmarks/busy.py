"""What another program at work costs: 20 steps on the pocket, idle and with one and two busy loops beside them.

``python -m benchmarks.busy`` starts a process for each setting of OpenMP's waiting and has them take turns (A B A B),
idle and beside busy loops that are started and ended around all turns. It prints the median seconds, and their ratios
to torch's own setting on the idle machine. Turns during which something else took more than a tenth of a CPU are left
out, where there are others. "torch's own" is libgomp's number of spins, "ours" what ``photowords`` sets.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
CALM = 0.1
"""CPUs that other programs may have in a turn that counts."""
OWN = "300000"
"""What libgomp spins at a barrier where nobody says: about 3 ms by its own estimate."""


class Turn(NamedTuple):
    """What one turn took.

    Attributes:
        seconds: of the steps.
        others: CPUs that other programs had meanwhile.
    """

    seconds: float
    others: float


def serve(steps: int) -> None:
    """Be one setting: a line in, the seconds of so many steps, and of CPU, out."""
    from photowords import backbones, images, pocket
    from photowords.initializers import start
    from photowords.inversion import invert
    from photowords.settings import InvertSettings
    from photowords.starts import Words

    backbone = backbones.load("pocket", "cpu")
    photo = images.load_photo(pocket.view("mug"))
    concept = start(Words(words="blue and white checkered mug"), [photo], backbone)
    settings = InvertSettings(steps=steps, held_out=1, evaluate_every=steps)
    for _ in sys.stdin:
        began, spent = time.perf_counter(), time.process_time()
        for _step in invert(backbone, concept, [photo], settings):
            pass
        print(time.perf_counter() - began, time.process_time() - spent, flush=True)


class Arm:
    """A process under one setting of the environment."""

    def __init__(self, setting: Mapping[str, str], steps: int) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in CHOSEN} | {**setting}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.busy", "--steps", str(steps), "--serve"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, burning: int) -> Turn:
        """Its seconds, and the CPUs that neither it nor the busy loops had meanwhile."""
        assert self._process.stdin is not None and self._process.stdout is not None
        began, busy = time.perf_counter(), busy_seconds()
        print(file=self._process.stdin, flush=True)
        seconds, own = map(float, self._process.stdout.readline().split())
        wall, all_of_it = time.perf_counter() - began, busy_seconds() - busy
        return Turn(seconds, (all_of_it - own) / wall - burning)

    def close(self) -> None:
        self._process.communicate()


def busy_seconds() -> float:
    """CPU seconds that the machine has worked, all CPUs together; 0 where that is not told."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
    except OSError:
        return 0.0
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def burners(count: int) -> Iterator[None]:
    """So many programs that do nothing, as fast as they can."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(0.2)
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="of an inversion at each turn (default: 20)")
    parser.add_argument("--seconds", type=float, default=120, help="to go on for (default: 120)")
    parser.add_argument("--spins", type=int, nargs="*", default=[0], help="GOMP_SPINCOUNT as well (default: 0)")
    parser.add_argument("--burners", type=int, nargs="*", default=[0, 1, 2], help="busy loops (default: 0 1 2)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.steps)
        return
    settings = {
        "torch's own": {"GOMP_SPINCOUNT": OWN},
        "ours": {},
        **{f"{count} spins": {"GOMP_SPINCOUNT": str(count)} for count in args.spins},
        "one thread": {"OMP_NUM_THREADS": "1"},
    }
    taken: dict[tuple[str, int], list[Turn]] = {(name, count): [] for name in settings for count in args.burners}
    with ExitStack() as stack:
        arms = {name: Arm(setting, args.steps) for name, setting in settings.items()}
        for arm in arms.values():
            stack.callback(arm.close)
            arm.turn(0)  # warm up
        print("measuring", flush=True)
        end = time.perf_counter() + args.seconds
        while time.perf_counter() < end:
            for count in args.burners:
                with burners(count):
                    for name, arm in arms.items():
                        taken[name, count].append(arm.turn(count))
    reference = middle(quiet(taken["torch's own", args.burners[0]]))
    for name in settings:
        print(name)
        for count in args.burners:
            turns = taken[name, count]
            calm = quiet(turns)
            print(f"  {count} busy loops: {middle(calm):6.2f} s, x{middle(calm) / reference:.2f} (n {len(calm)})")
        if any(turn.others >= CALM for count in args.burners for turn in taken[name, count]):
            print("  other programs were at work as well")


def quiet(turns: Sequence[Turn]) -> Sequence[Turn]:
    """Those beside nothing else; all, where there is none such."""
    return [turn for turn in turns if turn.others < CALM] or turns


def middle(turns: Sequence[Turn]) -> float:
    """Median seconds; no number without a turn."""
    return statistics.median(turn.seconds for turn in turns) if turns else math.nan


if __name__ == "__main__":
    main()
