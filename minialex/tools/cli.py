"""`minialex COMMAND`: arguments, help, and errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from .setup import MODELS

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
    except BrokenPipeError:  # whoever read the output, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
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
    _add_evaluate(commands, common)
    _add_predict(commands, common)
    _add_bench(commands, common)
    _add_plan(commands)
    _add_data(commands)
    _add_doctor(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    train = commands.add_parser(
        "train", parents=[common], help="train a network and draw what it learnt",
        description="Train a network and write a folder with its log, weights and pictures. "
                    "Without options: the small AlexNet on 10,000 pictures of clothes, "
                    "2 to 3 minutes on two cores. Ctrl-C stops a run, and --resume goes on with "
                    "it; after a crash, at most ten minutes of it are repeated.")
    train.add_argument("--model", choices=MODELS,
                       help="alexnet-small: the same two columns for 28x28 pixels, a quarter as "
                            "wide; alexnet: the full network of 2012 (default: alexnet-small)")
    train.add_argument("--data", metavar="NAME|FOLDER",
                       help="fashion-mnist (the default: 12,000 images that come with minialex), "
                            "fashion-mnist-full, another name from minialex data list, a folder "
                            "that minialex data prepare has made, or one of train/CLASS/*.jpg "
                            "with val or test beside train")
    train.add_argument("--data-dir", metavar="FOLDER",
                       help="where minialex data get has put its sets (default: ./data, else the "
                            "user's cache)")
    train.add_argument("--out", metavar="FOLDER",
                       help="where to write (default: runs/TIME-MODEL-DATA)")
    train.add_argument("--resume", metavar="FOLDER",
                       help="go on with an interrupted run, bit for bit, with its settings; "
                            "--devices, --threads, --data, --data-dir and --parallel may "
                            "be new, and so may the number of processes")
    train.add_argument("--parallel", choices=("data", "hybrid"),
                       help="share the work out among all processes that mpiexec has started, "
                            "as in mpiexec -n 4 python -m mpi4py -m minialex train --parallel "
                            "data. data: each has the whole network, and its share of every "
                            "batch; hybrid: its share for the convolutions, and its units of "
                            "the fully connected layers")
    train.add_argument("--steps", type=int, metavar="N", help="stop after so many steps in all")
    train.add_argument("--seed", type=int, metavar="N",
                       help="of weights, order, crops, colours and dropout (default: 0)")
    train.add_argument("--explain", action="store_true",
                       help="print each setting of this run and its source, and stop")
    _add_recipe(train.add_argument_group("recipe", "What is not given depends on --recipe, --model "
                                                   "and the number of images: see --explain."))
    train.set_defaults(run=_train)


def _add_recipe(settings: argparse._ArgumentGroup) -> None:
    settings.add_argument("--recipe", choices=("run145", "paper"),
                          help="as the authors ran it, or as they printed it (default: run145)")
    settings.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    settings.add_argument("--batch", type=int, metavar="N", help="images in a step")
    settings.add_argument("--lr", type=float, metavar="RATE", help="learning rate at the start")
    falling = settings.add_mutually_exclusive_group()
    falling.add_argument("--falls", type=_epochs, metavar="N,N,...",
                         help="divide the rate by ten after these epochs")
    falling.add_argument("--patience", type=int, metavar="N",
                         help="divide it when the validation error has not improved for N epochs, "
                              "at most three times (0: never)")
    settings.add_argument("--init", choices=("run145", "paper", "he"),
                          help="first weights: of the authors' run, of their paper, or by He et "
                               "al. 2015, for narrow networks")
    settings.add_argument("--width", type=float, metavar="SHARE",
                          help="share of the paper's kernels")
    settings.add_argument("--mirror", type=float, metavar="CHANCE",
                          help="of an image to be shown as in a mirror; 0 for letters and digits")
    settings.add_argument("--noise", choices=("run145", "literal", "none"),
                          help="of colours: as it was run, as the paper prints it, or none")
    settings.add_argument("--image-size", type=int, choices=(224, 227),
                          help="pixels that alexnet sees: 227, or 224 and 3 zero rows and columns")


def _epochs(text: str) -> tuple[int, ...]:
    """"20,27" -> (20, 27)"""
    try:
        epochs = sorted(int(number) for number in text.split(","))
    except ValueError:
        epochs = [0]
    if epochs[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers of epochs, as in 20,27")
    return tuple(epochs)


def _add_evaluate(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    evaluate = commands.add_parser(
        "evaluate", parents=[common], help="count the errors of a trained network",
        description="Show a trained network images that it has not seen: errors in all and of "
                    "each class, and what it takes for what. Writes confusion.png, "
                    "confusion.csv and evaluation.json. A tie with another class is an error.")
    evaluate.add_argument("folder", metavar="RUN",
                          help="the folder of a finished run: what minialex train wrote to --out")
    evaluate.add_argument("--data", metavar="NAME|FOLDER",
                          help="other images of the same classes (default: the data of the run)")
    evaluate.add_argument("--split", choices=("test", "val", "train"),
                          help="which of them (default: test, or val if there is no test)")
    evaluate.add_argument("--ten-view", action="store_true",
                          help="also average the probabilities of ten views of each image, as in "
                               "2012: four corners and centre, and their mirror images")
    evaluate.add_argument("--batch", type=int, default=128, metavar="N",
                          help="views that the network sees at once (default: %(default)s)")
    evaluate.add_argument("--json", action="store_true",
                          help="print what evaluation.json holds, and nothing else")
    evaluate.add_argument("--out", metavar="FOLDER", help="where to write (default: RUN)")
    evaluate.set_defaults(run=_evaluate)


def _add_predict(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    predict = commands.add_parser(
        "predict", parents=[common], help="say what a trained network sees in pictures",
        description="Print the best guesses of a trained network for each picture. A picture is "
                    "read as in training: shorter side, then the central square. A network "
                    "that learnt from grey images sees its brightness; the clothes of "
                    "fashion-mnist are bright on black, so a photograph on white looks strange "
                    "to it. Exit code 2 if a picture could not be read; the others are answered.")
    predict.add_argument("folder", metavar="RUN",
                         help="the folder of a finished run: what minialex train wrote to --out")
    predict.add_argument("pictures", nargs="+", metavar="IMAGE",
                         help="files, or folders for all pictures in them")
    predict.add_argument("--top", type=int, default=5, metavar="N",
                         help="how many guesses (default: %(default)s)")
    predict.add_argument("--ten-view", action="store_true",
                         help="average ten views of each picture, as in 2012, in place of the "
                              "centre alone")
    predict.add_argument("--json", action="store_true", help="print one JSON document")
    predict.add_argument("--plot", metavar="FILE.png",
                         help="draw the pictures (at most 40) beside their guesses")
    predict.set_defaults(run=_predict)


def _add_bench(commands: argparse._SubParsersAction, common: argparse.ArgumentParser) -> None:
    bench = commands.add_parser(
        "bench", parents=[common], help="measure a training step on this machine",
        description="Time the training step of a network, whole and layer by layer, beside what "
                    "this machine can do: its matrix product and its copy.")
    bench.add_argument("--model", choices=MODELS, default="alexnet",
                       help="which network (default: %(default)s)")
    bench.add_argument("--batch", type=int, default=128, metavar="N",
                       help="images in a step (default: %(default)s)")
    bench.add_argument("--steps", type=int, default=5, metavar="N",
                       help="steps to time, after one to warm up (default: %(default)s)")
    bench.add_argument("--json", action="store_true", help="print all figures as JSON")
    bench.add_argument("--plot", metavar="FILE.png",
                       help="draw the layers under the roof that the machine sets")
    bench.set_defaults(run=_bench)


def _add_plan(commands: argparse._SubParsersAction) -> None:
    plan = commands.add_parser(
        "plan", help="reckon what many workers would bring",
        description="Reckon the time of a training step with many workers, of each way to share "
                    "the work out: data (each its images), hybrid (b) and (c) (images for "
                    "convolutions, units for fully connected layers), columns (each its kernels). "
                    "The defaults are a GPU of 2014 (K20) and its link, which with hybrid (b) took "
                    "98.05, 50.24, 26.20 and 15.68 hours with 1, 2, 4 and 8 workers "
                    "(Krizhevsky 2014).")
    plan.add_argument("--workers", type=_workers, default="1,2,4,8", metavar="N,N,...|A..B",
                      help="how many; 1..1024 doubles from 1 to 1,024 (default: %(default)s)")
    plan.add_argument("--link", type=float, default=6e9, metavar="BYTES",
                      help="per second out of each worker, and as many in (default: 6e9, PCIe 2)")
    plan.add_argument("--latency", type=float, default=5e-6, metavar="SECONDS",
                      help="until a message begins to arrive (default: %(default)s)")
    plan.add_argument("--flops", type=float, default=1.4e12, metavar="N",
                      help="arithmetic per second of a worker, as measured in training "
                           "(default: 1.4e12, one K20)")
    plan.add_argument("--images", type=int, default=128, metavar="N",
                      help="of each worker in a step (default: %(default)s)")
    plan.add_argument("--batch", type=int, metavar="N",
                      help="images in a step, all workers together: more workers then have fewer "
                           "each")
    plan.add_argument("--model", choices=("one-tower", "two-columns"), default="one-tower",
                      help="of 2014 or of 2012 (default: %(default)s)")
    plan.add_argument("--json", action="store_true", help="print all figures as JSON")
    plan.add_argument("--plot", metavar="FILE.png", help="draw time and speed-up by workers")
    plan.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    plan.set_defaults(run=_plan)


def _workers(text: str) -> list[int]:
    """"1,2,8" -> [1, 2, 8]; "1..8" -> [1, 2, 4, 8]"""
    try:
        workers = [int(number) for number in text.replace("..", ",").split(",")]
        if ".." in text:
            first, last = workers
            workers = [first * 2**i for i in range((last // first).bit_length())]
    except (ArithmeticError, ValueError):
        workers = [0]
    if not workers or min(workers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers, as in 1,2,8 or 1..1024")
    return workers


def _add_data(commands: argparse._SubParsersAction) -> None:
    data = commands.add_parser(
        "data", help="list, fetch and prepare sets of pictures",
        description="Public data sets: which there are, and bringing them here.")
    subcommands = data.add_subparsers(title="commands", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data-dir", metavar="FOLDER",
                        help="the folder of all data sets (default: ./data if there is one, else "
                             "the user's cache)")
    common.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    _add_data_list(subcommands, common)
    _add_data_get(subcommands, common)
    _add_data_prepare(subcommands)


def _add_data_list(subcommands: argparse._SubParsersAction,
                   common: argparse.ArgumentParser) -> None:
    listing = subcommands.add_parser(
        "list", parents=[common], help="show the sets that minialex knows, and which are here",
        description="Show the data sets that minialex knows: what they hold, how large the "
                    "download is, under which licence, and where each lies.")
    listing.add_argument("--json", action="store_true",
                         help="print all that is known of each set as JSON: splits, addresses, "
                              "checksums, citation, folder")
    listing.set_defaults(run=_data_list)


def _add_data_get(subcommands: argparse._SubParsersAction,
                  common: argparse.ArgumentParser) -> None:
    get = subcommands.add_parser(
        "get", parents=[common], help="fetch a set, check it and unpack it",
        description="Fetch a data set from its home or a mirror, compare it with the published "
                    "checksum and unpack it. Where there is no network, the message says which "
                    "file to put where by hand; the same command then takes it from there.")
    get.add_argument("name", metavar="NAME", help="of the set, as in minialex data list")
    get.set_defaults(run=_data_get)


def _add_data_prepare(subcommands: argparse._SubParsersAction) -> None:
    prepare = subcommands.add_parser(
        "prepare", help="make squares of any pictures, and pack them for training",
        description="Prepare pictures as in 2012: shorter side to 256 pixels, central square, RGB, "
                    "1,024 JPEGs in a zip; with their lists, mean image and colour covariance. "
                    "What is no readable picture is left out and listed. An interrupted run goes "
                    "on when the same command is given again.")
    prepare.add_argument("source", metavar="SOURCE",
                         help="a folder of train/CLASS/*, with val and test beside train; or of "
                              "CLASS/*; or of ImageNet's ILSVRC2012_img_train.tar, "
                              "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz, which are "
                              "read in place")
    prepare.add_argument("--out", metavar="FOLDER",
                         help="where to write (default: SOURCE-prepared)")
    prepare.add_argument("--split", type=_shares, metavar="A,B,C",
                         help="where there is no folder train: draw train, val and test from each "
                              "class, as in 80,10,10 (per cent)")
    prepare.add_argument("--side", type=int, default=256, metavar="PIXELS",
                         help="of the squares (default: %(default)s)")
    prepare.add_argument("--quality", type=int, default=95, metavar="N",
                         help="of the JPEGs, 1 to 100; at 95 one takes about 24 kB, at 90 18 kB; "
                              "JPEGs that are RGB and of the right size are kept as they are "
                              "(default: %(default)s)")
    prepare.add_argument("--strict", action="store_true",
                         help="stop at the first file that is no readable picture")
    prepare.add_argument("--threads", type=int, metavar="N",
                         help="how many (default: all cores this process may use)")
    prepare.add_argument("--debug", action="store_true",
                         help="show the whole traceback of an error")
    prepare.set_defaults(run=_data_prepare)


def _shares(text: str) -> tuple[int, ...]:
    """"80,10,10" -> (80, 10, 10)"""
    shares = tuple(int(share) for share in text.split(",") if share.isdecimal())
    if len(shares) != 3 or sum(shares) != 100 or shares[0] == 0:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give train, val and test in per cent, as in 80,10,10")
    return shares


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


def _evaluate(options: argparse.Namespace) -> int:
    from .evaluate import evaluate_run

    return evaluate_run(options)


def _predict(options: argparse.Namespace) -> int:
    from .predict import predict

    return predict(options)


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench

    return bench(options)


def _plan(options: argparse.Namespace) -> int:
    from .plan import plan

    return plan(options)


def _data_list(options: argparse.Namespace) -> int:
    from .data import data_list

    return data_list(options)


def _data_get(options: argparse.Namespace) -> int:
    from .data import data_get

    return data_get(options)


def _data_prepare(options: argparse.Namespace) -> int:
    from .prepare import data_prepare

    return data_prepare(options)


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import doctor

    return doctor(options)


if __name__ == "__main__":
    sys.exit(main())
