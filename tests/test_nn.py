"""Modules: how parameters are found, named, saved and moved; and the layers."""

import threading

import numpy as np
import pytest

from minialex import Tensor, backend, nn, no_grad, ops

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


def test_setting_a_misspelt_attribute():
    message = "Net has no attribute 'trainin'; did you mean 'training'.*only"
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


def test_watch_may_call_the_layer_itself():
    """As to see what it would have made of another input."""
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    seen = []
    with nn.watch(net, before=lambda path, layer, x: seen.append((path, layer(-x).item()))):
        net(Tensor([-1.0]))
    assert [path for path, _ in seen] == ["", "modules.0", "modules.1"]
    assert seen[1][1] == 1


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
], ids=["missing", "unknown", "shape", "dtype"])
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
    (lambda: nn.Conv2d(3, 0, 5), r"Conv2d: .*weight .*\(5, 5, 3, 0\)"),
    (lambda: nn.Conv2d(3, 4, 5, groups=2), r"Conv2d: groups=2 must divide 3, 4"),
    (lambda: nn.Conv2d(4, 3, 5, groups=2), r"Conv2d: groups=2 must divide 4, 3"),
    (lambda: nn.Conv2d(4, 4, 5, groups=0), r"Conv2d: .*groups=0"),
])
def test_bad_sizes(make, message):
    with pytest.raises(ValueError, match=message):
        make()
