"""For the time until train.py and bench.py have their own arguments."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

from . import devices
from .setup import MODELS

__all__ = ["INTERIM"]


def _train_arguments(train: argparse.ArgumentParser) -> None:
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
    devices.add_arguments(train)


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


def _bench_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("--model", choices=MODELS, default="alexnet",
                       help="which network (default: %(default)s)")
    bench.add_argument("--batch", type=int, default=128, metavar="N",
                       help="images in a step (default: %(default)s)")
    bench.add_argument("--steps", type=int, default=5, metavar="N",
                       help="steps to time, after one to warm up (default: %(default)s)")
    bench.add_argument("--json", action="store_true", help="print all figures as JSON")
    bench.add_argument("--plot", metavar="FILE.png",
                       help="draw the layers under the roof that the machine sets")
    devices.add_arguments(bench)


def _train(options: argparse.Namespace) -> int:
    from .train import train

    return train(options)


def _bench(options: argparse.Namespace) -> int:
    from .bench import bench

    return bench(options)


INTERIM = {
    "train": SimpleNamespace(
        SUMMARY="train a network and draw what it learnt",
        DESCRIPTION="Train a network and write a folder with its log, weights and pictures. "
                    "Without options: the small AlexNet on 10,000 pictures of clothes, "
                    "2 to 3 minutes on two cores. Ctrl-C stops a run, and --resume goes on with "
                    "it; after a crash, at most ten minutes of it are repeated.",
        add_arguments=_train_arguments, run=_train),
    "bench": SimpleNamespace(
        SUMMARY="measure a training step on this machine",
        DESCRIPTION="Time the training step of a network, whole and layer by layer, beside what "
                    "this machine can do: its matrix product and its copy.",
        add_arguments=_bench_arguments, run=_bench),
}
