"""Training: steps, evaluation, checkpoints, and the settings of a run."""

from .checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from .classifier import Classifier
from .evaluate import Evaluation, evaluate, ranks
from .loop import DivergedError, Step, train_steps
from .plateau import entropy, plateau
from .recipe import Recipe, change, explain, suggest
from .schedule import plateau_falls, set_rates, step_falls

__all__ = ["CheckpointError", "Classifier", "DivergedError", "Evaluation", "Recipe", "Step",
           "change", "entropy", "evaluate", "explain", "load_checkpoint", "plateau",
           "plateau_falls", "ranks", "save_checkpoint", "set_rates", "step_falls", "suggest",
           "train_steps"]
