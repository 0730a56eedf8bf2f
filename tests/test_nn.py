"""Modules: how parameters are found, named, saved and moved; and the layers."""

import copy
import inspect
import multiprocessing
import pickle
import pydoc
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minialex
from minialex import Tensor, backend, models, nn, no_grad, ops, optim

pytestmark = pytest.mark.ch04


class Net(nn.Module):
    """Parameters in every place where they may be."""

    def __init__(self, device=None):
        def linear(n_in, n_out):
            return nn.Linear(n_in, n_out, rng=n_in, device=device)

        self.first = linear(2, 3)
        self.gain = nn.Parameter(np.ones(3, np.float32), device)
        self.columns = [linear(3, 4), nn.Sequential(nn.ReLU(), linear(4, 4), nn.Dropout(0.5))]
        self.heads = {"left": (linear(4, 5), linear(4, 6)), "right": {"deep": [[self.gain]]}}
        self.tied = self.first
        self.last = nn.Parameter(np.zeros(1, np.float32), device)
        self.size = 3

    def forward(self, x):
        x = self.columns[0](self.first(x) * self.gain)
        return self.heads["left"][1](self.columns[1](x)) + self.last


NAMES = [
    "first.weight", "first.bias", "gain", "columns.0.weight", "columns.0.bias",
    "columns.1.modules.1.weight", "columns.1.modules.1.bias", "heads.left.0.weight",
    "heads.left.0.bias", "heads.left.1.weight", "heads.left.1.bias", "last",
]


# Finding parameters


def test_parameters_are_found_wherever_they_are_in_the_order_of_assignment():
    net = Net()
    named = net.named_parameters()
    assert list(named) == NAMES
    assert [p.name for p in net.parameters()] == NAMES
    assert named["heads.left.1.bias"] is net.heads["left"][1].bias


def test_shared_parameters_come_once():
    net = Net()
    assert len({id(p) for p in net.parameters()}) == len(net.parameters()) == len(NAMES)
    assert net.tied is net.first


def test_every_used_parameter_gets_its_gradient(rng):
    net = Net()
    ops.sum(net(Tensor(rng.standard_normal((5, 2), np.float32)))).backward()
    without = {name for name, p in net.named_parameters().items() if p.grad is None}
    assert without == {"heads.left.0.weight", "heads.left.0.bias"}
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


# Attributes


def test_reading_a_misspelt_attribute():
    with pytest.raises(AttributeError, match="Net has no attribute 'frist'; did you mean 'first'"):
        Net().frist  # noqa: B018
    with pytest.raises(AttributeError, match=r"Net has no attribute 'xyzzy'$"):
        Net().xyzzy  # noqa: B018


@pytest.mark.parametrize("hold", [lambda x: x, lambda x: [x], lambda x: {"w": (nn.ReLU(), x)}],
                         ids=["alone", "list", "dict"])
def test_a_tensor_that_would_never_learn(device, hold):
    class Own(nn.Module):
        def __init__(self, requires_grad):
            self.held = hold(Tensor([1.0], device, requires_grad))
            self.layer = nn.Linear(2, 2)

    assert len(Own(False).parameters()) == 2
    with pytest.raises(TypeError, match=r"^held.* requires a gradient, .*nn\.Parameter\(array\)$"):
        Own(True).parameters()


def test_setting_a_misspelt_attribute():
    message = "Net has no attribute 'trainin'; .*only; did you mean 'training'"
    with pytest.raises(AttributeError, match=message):
        Net().trainin = False


def test_existing_attributes_can_be_set():
    net = Net()
    net.size = 4
    net.training = False
    assert net.size == 4 and not net.training


def test_module_without_forward():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty has no forward\(\)"):
        Empty()(1)


# Training and evaluation


def test_train_and_eval_reach_all_modules():
    net = Net()
    modules = [net, net.first, *net.columns, *net.columns[1].modules, *net.heads["left"]]
    assert all(module.training for module in modules)
    assert net.eval() is net
    assert not any(module.training for module in modules)
    assert net.train() is net
    assert all(module.training for module in modules)
    net.train(False)
    assert not any(module.training for module in modules)


@pytest.mark.ch06
@pytest.mark.parametrize("p", [0.5, 0.2, 0.0])
def test_dropout_follows_the_rule_of_2012(device, p):
    """A mask without rescaling in training; all units, times 1 - p, in evaluation."""
    drop = nn.Dropout(p, rng=1)
    x = Tensor(np.full((100, 100), 3.0, np.float32), device, requires_grad=True)
    y = drop(x)
    assert set(np.unique(y.numpy())) <= {0, 3}
    assert abs((y.numpy() == 0).mean() - p) < 0.02
    ops.sum(y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy() / 3)
    np.testing.assert_array_equal(drop.eval()(x).numpy(), np.float32(3 * (1 - p)))
    assert drop(x).dtype == np.float32


@pytest.mark.ch06
def test_dropout_draws_from_its_own_generator(devices):
    def masks(device, seed):
        drop, x = nn.Dropout(rng=seed), Tensor(np.ones((8, 8), np.float32), device)
        return [drop(x).numpy() for _ in range(3)]

    one, same, other = masks(devices[0], 1), masks(devices[1], 1), masks(devices[0], 2)
    np.testing.assert_array_equal(one, same)
    assert (one[0] != one[1]).any() and (one[1] != one[2]).any() and (one[0] != other[0]).any()


@pytest.mark.ch06
def test_evaluation_draws_nothing():
    """So that looking at the test error does not change the run."""
    drop, x = nn.Dropout(rng=1), Tensor(np.ones((8, 8), np.float32))
    expected = nn.Dropout(rng=1)(x).numpy()
    drop.eval()(x)
    np.testing.assert_array_equal(drop.train()(x).numpy(), expected)


@pytest.mark.ch06
def test_a_probability_of_numpy_gives_the_same_masks(device):
    """Where 0.7 as float32, which is less, is drawn, float64 decides in another way."""
    class Drawn:
        def random(self, shape, dtype):
            return np.full(shape, 0.7, dtype)

    x = Tensor(np.ones(3, np.float32), device)
    masks = []
    for p in 0.7, np.float64(0.7), np.array(0.7):
        drop = nn.Dropout(p)
        drop.rng = Drawn()
        masks.append(drop(x).numpy().tolist())
    assert masks[0] == masks[1] == masks[2]


@pytest.mark.parametrize("p", [1, 1.5, -0.1, float("nan")])
def test_dropout_needs_a_probability_below_one(p):
    with pytest.raises(ValueError, match=rf"Dropout: p is {p}; .*probability to drop.*\[0, 1\)"):
        nn.Dropout(p)


# Watching


def looked_at(net, x):
    """The paths that a watch is told, before and after."""
    told = []
    with nn.watch(net, lambda path, layer, x: told.append(("before", path, x.shape)),
                  lambda path, layer, y: told.append(("after", path, y.shape))):
        y = net(x)
    net(x)  # nobody is told of this one
    return told, y


def test_watch_is_told_of_every_layer_in_the_order_of_the_calls():
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 4)))
    told, _ = looked_at(net, Tensor(np.ones((5, 2), np.float32)))
    assert told == [
        ("before", "", (5, 2)), ("before", "modules.0", (5, 2)), ("after", "modules.0", (5, 3)),
        ("before", "modules.1", (5, 3)), ("before", "modules.1.modules.0", (5, 3)),
        ("after", "modules.1.modules.0", (5, 3)), ("before", "modules.1.modules.1", (5, 3)),
        ("after", "modules.1.modules.1", (5, 4)), ("after", "modules.1", (5, 4)),
        ("after", "", (5, 4))]


def test_watch_knows_a_layer_in_two_places_by_the_first():
    shared = nn.Tanh()
    told, _ = looked_at(nn.Sequential(shared, nn.ReLU(), shared), Tensor(np.ones(2, np.float32)))
    assert [path for when, path, _ in told if when == "after"] == [
        "modules.0", "modules.1", "modules.0", ""]


def test_watch_changes_nothing_unless_it_gives_something_back(rng):
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    x = Tensor(rng.standard_normal((5, 2), np.float32))
    _, y = looked_at(net, x)
    np.testing.assert_array_equal(y.numpy(), net(x).numpy())
    assert "forward" not in vars(net.modules[0])


def test_watch_may_put_other_inputs_and_outputs_in():
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    x, three = Tensor(np.float32([-1, 2])), Tensor(np.float32([3, 3]))
    with nn.watch(net, before=lambda path, layer, x: three if path == "modules.1" else None):
        np.testing.assert_array_equal(net(x).numpy(), np.tanh(three.numpy()))
    with nn.watch(net, after=lambda path, layer, y: -y if isinstance(layer, nn.ReLU) else None):
        np.testing.assert_array_equal(net(x).numpy(), np.tanh(np.float32([-0.0, -2])))


def test_watches_stand_around_a_layer_like_shells():
    net, order = nn.ReLU(), []

    def note(name):
        return lambda path, layer, x: order.append(name)

    with nn.watch(net, note("outer before"), note("outer after")):
        with nn.watch(net, note("inner before"), note("inner after")):
            net(Tensor([1.0]))
        net(Tensor([1.0]))
    assert order == ["outer before", "inner before", "inner after", "outer after",
                     "outer before", "outer after"]


def test_watch_ends_with_an_error():
    net, told = nn.ReLU(), []
    with pytest.raises(ZeroDivisionError), nn.watch(net, after=lambda *seen: 1 / 0):
        net(Tensor([1.0]))
    with nn.watch(net, after=lambda *seen: told.append(1)):
        net(Tensor([1.0]))
    assert told == [1]
    net(Tensor([1.0]))
    assert told == [1]


def test_watches_of_two_generators_may_end_in_any_order():
    first, second, told = nn.ReLU(), nn.ReLU(), []

    def steps(net, name):
        with nn.watch(net, after=lambda *seen: told.append(name)):
            for _ in range(2):
                yield net(Tensor([1.0]))

    one, two = steps(first, "one"), steps(second, "two")
    next(one), next(two), one.close(), next(two), two.close()
    first(Tensor([1.0])), second(Tensor([1.0]))
    assert told == ["one", "two", "two"]


def test_watch_may_call_the_forward_of_the_layer():
    """As to see what it would have made of another input."""
    net, seen = nn.Sequential(nn.ReLU(), nn.Tanh()), []
    with nn.watch(net.modules[0], lambda path, layer, x: seen.append(layer.forward(-x).item())):
        net(Tensor([-1.0]))
    assert seen == [1]


def test_watch_sees_its_own_net_and_thread_only():
    net, other, told = nn.ReLU(), nn.ReLU(), []
    with nn.watch(net, after=lambda *seen: told.append(threading.get_ident())):
        other(Tensor([1.0]))
        thread = threading.Thread(target=net, args=(Tensor([1.0]),))
        thread.start()
        thread.join()
        assert not told
        net(Tensor([1.0]))
    assert told == [threading.get_ident()]


def test_watched_modules_take_several_inputs_and_options():
    class Scaled(nn.Module):
        def forward(self, x, y, *, by=1):
            return (x + y) * by

    net = Scaled()
    with nn.watch(net, before=lambda path, layer, x: x + 1):
        assert net(Tensor([1.0]), Tensor([2.0]), by=3).item() == 12
    assert net(Tensor([1.0]), Tensor([2.0]), by=3).item() == 9


# Saving and moving


def test_state_round_trip(device, rng):
    net, other = Net(device), Net(device)
    for p in net.parameters():
        p.data = p.device.asarray(rng.standard_normal(p.shape, np.float32))
    state = net.state()
    assert list(state) == NAMES and all(type(array) is np.ndarray for array in state.values())
    other.load_state(state)
    x = Tensor(rng.standard_normal((5, 2), np.float32), device)
    with no_grad():
        np.testing.assert_array_equal(net.eval()(x).numpy(), other.eval()(x).numpy())
    state["last"][0] += 1
    assert net.last.item() == other.last.item() != state["last"][0], "the state is a copy"


@pytest.mark.parametrize(("change", "message"), [
    (lambda state: state.pop("gain"), r"Net: gain is missing .*but float32 \(3,\)"),
    (lambda state: state.update(extra=np.zeros(1)),
     r"Net: extra is float64 \(1,\) .*but missing here"),
    (lambda state: state.update(gain=np.zeros(4, np.float32)),
     r"Net: gain is float32 \(4,\) .*but float32 \(3,\)"),
    (lambda state: state.update(gain=np.zeros(3)),
     r"Net: gain is float64 \(3,\) .*but float32 \(3,\)"),
    (lambda state: state.update(gain=[1.0, 2.0, 3.0]),
     r"Net: gain is float64 \(3,\) .*but float32 \(3,\)"),
], ids=["missing", "unknown", "shape", "dtype", "list"])
def test_state_that_does_not_fit_changes_nothing(change, message):
    net = Net()
    before, state = net.state(), {name: array + 1 for name, array in net.state().items()}
    change(state)
    with pytest.raises(ValueError, match=message):
        net.load_state(state)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.ch08
def test_to_moves_every_parameter(devices, rng):
    net, x = Net(devices[0]), Tensor(rng.standard_normal((5, 2), np.float32), devices[0])
    before = net.eval()(x).numpy()
    ops.sum(net(x)).backward()
    with backend.record_transfers() as log:
        assert net.to(devices[1]) is net
    assert {p.device.name for p in net.parameters()} == {devices[1]}
    assert all(p.grad is None for p in net.parameters())
    moved = sum(p.data.nbytes for p in net.parameters())
    assert log.total_bytes == (moved if devices[0] != devices[1] else 0)
    np.testing.assert_allclose(net(ops.transfer(x, devices[1])).numpy(), before, rtol=1e-5)


# Layers


@pytest.mark.parametrize("make", [
    lambda **options: nn.Linear(300, 200, **options),
    lambda **options: nn.Conv2d(30, 200, 5, **options),
], ids=["Linear", "Conv2d"])
def test_first_weights_and_biases(device, make):
    layer = make(std=0.03, bias=1.5, device=device)
    weight, bias = layer.weight.numpy(), layer.bias.numpy()
    assert weight.dtype == bias.dtype == np.float32
    assert abs(weight.std() / 0.03 - 1) < 0.02 and abs(weight.mean()) < 0.001
    assert bias.shape == (200,) and (bias == 1.5).all()

    he = make(device=device)
    fan_in = np.prod(he.weight.shape[:-1])
    assert abs(he.weight.numpy().std() / np.sqrt(2 / fan_in) - 1) < 0.02
    assert not he.bias.numpy().any()
    assert make(bias=None, device=device).bias is None


def test_weights_depend_on_the_generator_only(devices):
    one, same, other = (nn.Linear(4, 5, rng=seed, device=device).weight.numpy()
                        for seed, device in [(1, devices[0]), (1, devices[1]), (2, devices[0])])
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()
    generator = np.random.default_rng(1)
    first, second = (nn.Linear(4, 5, rng=generator).weight.numpy() for _ in range(2))
    np.testing.assert_array_equal(first, one)
    assert (second != one).all(), "a generator is used up, not copied"


CONV = {"stride": 2, "pad": (1, 2, 0, 1), "groups": 2}
LRN = {"size": 3, "k": 1.0, "alpha": 0.5, "beta": 0.6}


@pytest.mark.parametrize(("layer", "op"), [
    (nn.Conv2d(4, 6, 3, bias=0.5, **CONV), lambda x, l: ops.conv2d(x, l.weight, l.bias, **CONV)),
    (nn.Conv2d(4, 6, 3, bias=None), lambda x, l: ops.conv2d(x, l.weight)),
    (nn.Sequential(nn.Flatten(), nn.Linear(4 * 81, 5, bias=0.5)), lambda x, l: ops.linear(
        ops.flatten(x), l.modules[1].weight, l.modules[1].bias)),
    (nn.MaxPool2d(3, 2), lambda x, l: ops.max_pool2d(x, size=3, stride=2)),
    (nn.AvgPool2d(2, 3), lambda x, l: ops.avg_pool2d(x, size=2, stride=3)),
    (nn.LocalResponseNorm(**LRN), lambda x, l: ops.local_response_norm(x, **LRN)),
    (nn.LocalResponseNorm(), lambda x, l: ops.local_response_norm(x)),
    (nn.ReLU(), lambda x, l: ops.relu(x)),
    (nn.Tanh(), lambda x, l: ops.tanh(x)),
    (nn.Sequential(nn.Tanh(), nn.ReLU()), lambda x, l: ops.relu(ops.tanh(x))),
    (nn.Sequential(nn.ReLU(), nn.LocalResponseNorm(**LRN), nn.MaxPool2d(3, 2), nn.Flatten()),
     lambda x, l: ops.flatten(ops.max_pool2d(
         ops.local_response_norm(ops.relu(x), **LRN), size=3, stride=2))),
], ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "")
def test_layer_is_its_op_with_all_options(layer, op, rng):
    """Option by option: an option that the layer dropped would show."""
    x = Tensor(rng.standard_normal((2, 9, 9, 4), np.float32), "cpu:0")
    np.testing.assert_array_equal(layer(x).numpy(), op(x, layer).numpy())


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.Linear(0, 3), r"Linear: .*weight .*\(0, 3\).*size.* 1"),
    (lambda: nn.Linear(3, -1), r"Linear: .*weight .*\(3, -1\)"),
    (lambda: nn.Conv2d(3, 4, 0), r"Conv2d: .*weight .*\(0, 0, 3, 4\)"),
    (lambda: nn.Conv2d(3, 0, 5), r"Conv2d: out_channels is 0; .*at least 1"),
    (lambda: nn.Conv2d(3, 4, 5, groups=2), r"Conv2d: groups=2 must divide 3, 4"),
    (lambda: nn.Conv2d(4, 3, 5, groups=2), r"Conv2d: groups=2 must divide 4, 3"),
    (lambda: nn.Conv2d(4, 4, 5, groups=0), r"Conv2d: groups is 0"),
    (lambda: nn.Conv2d(4, 4, 5, groups=2.0), r"Conv2d: groups is 2.0"),
    (lambda: nn.Conv2d(4, 4, 2.5), r"Conv2d: weight \(2.5, 2.5, 4, 4\): one size is 2.5"),
    (lambda: nn.Conv2d(4, 4, 5, stride=0), r"Conv2d: stride is 0; .*at least 1"),
    (lambda: nn.Conv2d(4, 4, 5, stride=1.5), r"Conv2d: stride is 1.5; .*whole number"),
    (lambda: nn.Conv2d(4, 4, 5, pad=-1), r"Conv2d: pad is -1; .*at least 0"),
    (lambda: nn.Conv2d(4, 4, 5, pad=(1, 2)), r"Conv2d: pad is \(1, 2\); .*above, below, left"),
    (lambda: nn.MaxPool2d(0, 2), r"MaxPool2d: size is 0; .*at least 1"),
    (lambda: nn.MaxPool2d(3, stride=-1), r"MaxPool2d: stride is -1; .*at least 1"),
    (lambda: nn.AvgPool2d(2, stride="2"), r"AvgPool2d: stride is '2'; .*whole number"),
    (lambda: nn.Linear(3.0, 2), r"Linear: weight \(3.0, 2\): one size is 3.0"),
])
def test_bad_sizes_show_when_the_layer_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Layers made without rng


DEFAULTS = [lambda: nn.Linear(8, 8).weight.numpy(), lambda: nn.Conv2d(3, 4, 5).weight.numpy(),
            lambda: nn.Dropout()(Tensor(np.ones((8, 8), np.float32))).numpy()]


@pytest.mark.parametrize("make", DEFAULTS, ids=["Linear", "Conv2d", "Dropout"])
def test_two_layers_made_alike_are_not_equal(make):
    assert (make() != make()).any()


@pytest.mark.parametrize("make", DEFAULTS, ids=["Linear", "Conv2d", "Dropout"])
def test_a_seed_makes_the_same_layers_again(make):
    minialex.seed(7)
    first, second = make(), make()
    minialex.seed(7)
    np.testing.assert_array_equal(make(), first)
    np.testing.assert_array_equal(make(), second)
    minialex.seed(8)
    assert (make() != first).any()


def test_a_layer_with_its_own_seed_takes_nothing_from_the_others():
    minialex.seed(7)
    first = nn.Linear(2, 3).weight.numpy()
    minialex.seed(7)
    nn.Linear(2, 3, rng=1), nn.Dropout(rng=2)
    np.testing.assert_array_equal(nn.Linear(2, 3).weight.numpy(), first)


def test_drawing_masks_takes_nothing_from_the_layers_made_later():
    """Else the weights of a layer would depend on what was trained before it."""
    x = Tensor(np.ones((8, 8), np.float32))
    minialex.seed(7)
    nn.Dropout()
    first = nn.Linear(2, 3).weight.numpy()
    minialex.seed(7)
    nn.Dropout()(x)
    np.testing.assert_array_equal(nn.Linear(2, 3).weight.numpy(), first)


def test_two_runs_of_a_script_make_the_same_layers():
    script = "from minialex import nn; print(nn.Linear(2, 3).weight.numpy().tobytes().hex())"
    one, two = (subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1],
                               capture_output=True, text=True, check=True).stdout for _ in "12")
    assert one == two != ""


def test_threads_make_layers_that_differ():
    made = []
    threads = [threading.Thread(target=lambda: made.append(nn.Linear(4, 4).weight.numpy()))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({weight.tobytes() for weight in made}) == 8


@pytest.mark.parametrize("rng", [-1, "one", 0.5, [1, "a"]], ids=repr)
@pytest.mark.parametrize("make", [
    lambda rng: nn.Linear(2, 3, rng=rng), lambda rng: nn.Dropout(rng=rng), minialex.seed])
def test_what_is_no_seed(make, rng):
    with pytest.raises(ValueError, match=r"rng is .*; give a numpy.random.Generator, a seed"):
        make(rng)


# What a notebook shows


@pytest.mark.parametrize(("cls", "names"), [
    (nn.Conv2d, ["in_channels", "out_channels", "kernel_size", "stride", "pad", "groups", "std",
                 "bias", "rng", "device"]),
    (nn.LocalResponseNorm, ["size", "k", "alpha", "beta"]),
    (nn.MaxPool2d, ["size", "stride"]), (nn.ReLU, []), (nn.Sequential, ["modules"]),
    (Net, ["device"]), (nn.Module, []),
])
def test_signature_is_what_the_user_passes(cls, names):
    assert list(inspect.signature(cls).parameters) == names
    shown = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    shown, signature = (re.sub(r"[\s|]", "", text) for text in (  # 3.13 breaks long ones
        shown, f"{cls.__name__}{inspect.signature(cls)}".removesuffix("()")))
    assert signature in shown


def test_signature_has_the_defaults():
    parameters = inspect.signature(nn.LocalResponseNorm).parameters
    assert {name: p.default for name, p in parameters.items()} == {
        "size": 5, "k": 2.0, "alpha": 1e-4, "beta": 0.75}


@pytest.mark.parametrize(("make", "message"), [
    (lambda: nn.LocalResponseNorm(sise=5),
     r"LocalResponseNorm: .*'sise'; call LocalResponseNorm\(size=5, k=2.0, .*, beta=0.75\)$"),
    (lambda: nn.ReLU(slope=5), r"ReLU: .*'slope'; call ReLU\(\)$"),
    (lambda: nn.Flatten(1), r"Flatten: too many positional arguments; call Flatten\(\)$"),
    (lambda: nn.Linear(3), r"Linear: missing .*'out_features'; call Linear\(in_features, out_f"),
    (lambda: nn.Conv2d(1, 2, 3, padding=1), r"Conv2d: .*'padding'; call .*stride=1, pad=0, groups"),
    (lambda: nn.Dropout(0.5, 0), r"Dropout: too many .*; call Dropout\(p=0.5, \*, rng=None\)$"),
    (lambda: Net(devise="cpu:0"), r"Net: .*'devise'; call Net\(device=None\)$"),
])
def test_options_that_do_not_exist(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_print_shows_a_line_for_each_layer(devices):
    net = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, device=devices[0]), nn.ReLU(),
                        nn.Sequential(nn.Linear(2, 4000, bias=None, device=devices[1])))
    total, conv, relu, inner, linear = repr(net).splitlines()
    assert str(net) == repr(net)
    assert total.split()[:2] == ["Sequential", "8,020"]  # 3 x 3 x 2 + 2, and 2 x 4,000
    assert all(device in total for device in devices)
    assert conv.startswith("modules.0: Conv2d stride=2 ") and conv.endswith(f"20  {devices[0]}")
    assert "(3, 3, 1, 2) (2,)" in conv and "pad" not in conv, "pad is as usual"
    assert relu == "modules.1: ReLU"
    assert inner.split()[:3] == ["modules.2:", "Sequential", "8,000"]
    assert linear.split("  ")[0] == "modules.2.modules.0: Linear"
    assert "(2, 4000)" in linear and linear.endswith(f"8,000  {devices[1]}")


def test_print_shows_numbers_as_they_are_now():
    pool = nn.MaxPool2d(3, 2)
    pool.stride = 1
    assert repr(pool) == "MaxPool2d size=3 stride=1"
    assert repr(nn.Dropout(0.25)) == "Dropout p=0.25"
    assert repr(nn.Linear(2, 3, device="cpu:0").eval()) == "Linear  (2, 3) (3,)  9  cpu:0"


def test_print_leaves_the_names_of_parameters(rng):
    net = Net()
    names = [p.name for p in net.parameters()]
    repr(net.heads["left"][0])
    assert [net.heads["left"][0].weight.name, net.last.name] == [names[7], "last"]


# Modules in unusual places


def test_module_that_knows_the_one_it_is_in():
    class Child(nn.Module):
        def __init__(self, parent):
            self.parent, self.layer = parent, nn.Linear(2, 3)

    class Parent(nn.Module):
        def __init__(self):
            self.child = Child(self)
            self.me = [self]

    net = Parent()
    assert list(net.named_parameters()) == ["child.layer.weight", "child.layer.bias"]
    assert [path for path, _ in net.named_modules()] == ["", "child", "child.layer"]
    net.eval()
    assert not net.child.layer.training
    assert len(repr(net).splitlines()) == 3
    copied = copy.deepcopy(net)
    assert copied.child.parent is copied is not net


def test_modules_put_into_a_list_later():
    net = Net()
    net.columns = [nn.Linear(3, 4)]
    net.columns.append(nn.Linear(4, 5))
    assert [name for name in net.named_parameters() if name.startswith("columns")] == [
        "columns.0.weight", "columns.0.bias", "columns.1.weight", "columns.1.bias"]


def test_module_needs_no_call_of_the_init_above():
    class Own(nn.Linear):
        def __init__(self):
            self.weight = nn.Parameter(np.ones((2, 3), np.float32))

    with pytest.raises(AttributeError, match="Own has no attribute 'bias'"):
        Own()(Tensor(np.ones((1, 2), np.float32)))


def test_parameters_are_floats():
    with pytest.raises(TypeError, match=r"int64 has no gradient; use array\.astype"):
        nn.Parameter(np.arange(3))


def test_float64_network(rng):
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    for p in net.parameters():
        p.data = p.device.asarray(p.numpy().astype(np.float64))
    y = net(Tensor(rng.standard_normal((5, 2))))
    ops.sum(y).backward()
    assert y.dtype == np.float64
    assert {p.grad.dtype for p in net.parameters()} == {np.dtype(np.float64)}
    with pytest.raises(TypeError, match="float32"):
        net(Tensor(rng.standard_normal((5, 2), np.float32)))


@pytest.mark.parametrize("odd", [
    lambda a: np.asfortranarray(a), lambda a: a[::-1], lambda a: np.repeat(a, 2, axis=1)[:, ::2],
], ids=["Fortran", "reversed", "strided"])
def test_state_is_in_c_order(odd, rng):
    layer = nn.Linear(3, 4)
    values = odd(rng.standard_normal((3, 4), np.float32))
    layer.weight.data = values
    stored = layer.state()["weight"]
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, values)


# Copies


def trained(net, optimizer, x):
    """The weights after three steps, masks included."""
    for _ in range(3):
        optimizer.zero_grad()
        ops.sum(net(x)).backward()
        optimizer.step()
    return net.state()


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda pair: pickle.loads(pickle.dumps(pair))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copy_of_network_and_optimizer_goes_on_by_itself(copied, device, rng):
    """With the same masks, rates and velocities; and the two know nothing of each other."""
    net = Net(device)
    optimizer = optim.SGD(net.parameters(), lr=0.001)
    x = Tensor(rng.standard_normal((5, 2), np.float32), device)
    trained(net, optimizer, x)
    other, its_optimizer = copied((net, optimizer))
    before = net.state()
    assert list(other.named_parameters()) == list(its_optimizer.parameters) == NAMES
    assert other.tied is other.first and other.gain is other.heads["right"]["deep"][0][0]
    assert all(p is its_optimizer.parameters[p.name] for p in other.parameters())
    found = trained(other, its_optimizer, x)
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg="the copy trained the original")
    for name, array in trained(net, optimizer, x).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    with pytest.raises(AttributeError, match="has no attribute 'trainin'"):
        other.trainin = False


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_draw_masks_of_their_own(copied):
    drop, x = nn.Dropout(), Tensor(np.ones((8, 8), np.float32))
    other = copied(drop)
    first, second = drop(x).numpy(), drop(x).numpy()
    np.testing.assert_array_equal(other(x).numpy(), first)
    np.testing.assert_array_equal(other(x).numpy(), second)


def test_spawned_process_gets_the_network(rng):
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), rng.standard_normal((5, 2), np.float32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(predict, (net, x))
    np.testing.assert_array_equal(there, predict(net, x))


def predict(net, x):
    with no_grad():
        return net(Tensor(x, "cpu:0")).numpy()


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copy_of_alexnet(copied, rng):
    net = models.AlexNet(("cpu:0", "cpu:1"), classes=3, image_size=28, channels=1, width=1 / 64)
    images = rng.standard_normal((2, 28, 28, 1), np.float32)
    other = copied(net)
    assert repr(other) == repr(net)
    np.testing.assert_array_equal(other(images).numpy(), net(images).numpy())
