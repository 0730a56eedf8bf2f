"""`minialex COMMAND`: arguments, help, and errors in one line."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from .setup import SIZES

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 0: done; 2: a mistake, explained in one line; 130: interrupted."""
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            # NumPy's, where numbers overflow: a run that diverges says so itself, and only once.
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
            return options.run(options)
    except KeyboardInterrupt:
        print("minialex: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, ArithmeticError, OSError, MemoryError) as error:
        if options.debug:
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"minialex: {text}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minialex",
        description="Train the AlexNet of 2012, small or full, on one or two devices.")
    parser.add_argument("--version", action="version", version=f"minialex {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    common.add_argument("--threads", type=int, metavar="N",
                        help="threads on the CPU (default: all cores this process may use)")
    common.add_argument("--devices", metavar="A,B",
                        help="one device for each column, for instance gpu:0,gpu:1 or cpu:0,cpu:1 "
                             "(default: the best this machine has)")
    _add_train(commands, common)
    _add_bench(commands, common)
    _add_doctor(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    train = commands.add_parser(
        "train", parents=[common], help="train a network and draw what it learnt",
        description="Train a network and write a folder with its log, weights and pictures. "
                    "Without options: the small AlexNet on 10,000 pictures of clothes, "
                    "about 3 minutes on two cores.")
    train.add_argument("--model", choices=tuple(SIZES), default="alexnet-small",
                       help="alexnet-small: the same two columns for 28x28 images, a quarter as "
                            "wide; alexnet: the full network of 2012 (default: %(default)s)")
    train.add_argument("--data", default="fashion-mnist", metavar="NAME|FOLDER",
                       help="fashion-mnist, or a folder of train/CLASS/*.jpg with test or val "
                            "beside train (default: %(default)s)")
    train.add_argument("--out", metavar="FOLDER",
                       help="where to write (default: runs/TIME-MODEL-DATA)")
    train.add_argument("--resume", metavar="FOLDER",
                       help="go on with an interrupted run, with its settings")
    train.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    train.add_argument("--steps", type=int, metavar="N", help="stop after so many steps in all")
    train.add_argument("--batch", type=int, metavar="N",
                       help="images in a step (default: 128)")
    train.add_argument("--lr", type=float, metavar="RATE", help="learning rate at the start")
    train.add_argument("--init", choices=("run145", "paper", "he"), help="first values of weights")
    train.add_argument("--width", type=float, metavar="SHARE", help="share of the paper's kernels")
    train.add_argument("--seed", type=int, default=0, metavar="N",
                       help="of weights, order, crops and dropout (default: %(default)s)")
    train.set_defaults(run=_train)


def _add_bench(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    bench = commands.add_parser(
        "bench", parents=[common], help="measure a training step on this machine",
        description="Time the training step of a network, part by part.")
    bench.add_argument("--model", choices=tuple(SIZES), default="alexnet",
                       help="which network (default: %(default)s)")
    bench.add_argument("--batch", type=int, default=128, metavar="N",
                       help="images in a step (default: %(default)s)")
    bench.add_argument("--steps", type=int, default=5, metavar="N",
                       help="steps to time, after one to warm up (default: %(default)s)")
    bench.set_defaults(run=_bench)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    doctor = commands.add_parser(
        "doctor", help="say what is installed, and check that every device calculates right",
        description="List versions, files and devices, and check each device against plain NumPy: "
                    "every op, copies between devices, a training step. Exit code 1 if "
                    "something fails; a machine without a GPU is no failure.")
    doctor.add_argument("--devices", metavar="A,B,...",
                        help="the devices to check (default: every GPU, cpu:0 and cpu:1)")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.add_argument("--debug", action="store_true",
                        help="show the whole traceback of what raises")
    doctor.set_defaults(run=_doctor)


def _train(options: argparse.Namespace) -> int:
    from .train import train  # matplotlib and Pillow are slow to import: only where needed

    return train(options)


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench

    return bench(options)


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import doctor

    return doctor(options)


if __name__ == "__main__":
    sys.exit(main())
