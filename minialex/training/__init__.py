"""Training: steps, evaluation, checkpoints, the settings of a run, and runs themselves."""

from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .classifier import Classifier
from .evaluate import Evaluation, evaluate, ranks
from .events import EpochDone, Event, Kept, RateFell, Resumed
from .events import RunDone, Saved, StepDone, Stuck
from .plateau import entropy, plateau
from .recipe import Recipe, change, explain, suggest
from .run import Run
from .schedule import plateau_falls, set_rates, step_falls
from .start import fine_tuning, freeze, has_new_classes, layers, start_from
from .step import DivergedError, Step, train_steps
from .worker import Worker

__all__ = ["CheckpointError", "Classifier", "DivergedError", "EpochDone", "Evaluation", "Event",
           "Kept", "RateFell", "Recipe", "Resumed", "Run", "RunDone", "Saved", "Step", "StepDone",
           "Stuck", "Worker", "change", "entropy", "evaluate", "explain", "fine_tuning", "freeze",
           "has_new_classes", "layers", "load_checkpoint", "plateau", "plateau_falls", "ranks",
           "save_checkpoint", "set_rates", "start_from", "step_falls", "suggest", "train_steps"]
