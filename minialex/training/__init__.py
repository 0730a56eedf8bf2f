"""Training: steps, evaluation, checkpoints, and the settings of a run."""

from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .evaluate import Evaluation, evaluate, ranks
from .loop import DivergedError, Step, train_steps
from .recipe import Recipe, suggest
from .schedule import PlateauSchedule, StepSchedule

__all__ = ["CheckpointError", "DivergedError", "Evaluation", "PlateauSchedule", "Recipe", "Step",
           "StepSchedule", "evaluate", "load_checkpoint", "ranks", "save_checkpoint", "suggest",
           "train_steps"]
