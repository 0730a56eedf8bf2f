"""SGD by the paper's rule, against steps worked out in plain Python."""

import numpy as np
import pytest

from minialex import Tensor, backend, nn, ops, optim
from minialex.errors import MinialexError

pytestmark = pytest.mark.ch04

# Ten gradients, as training might give them, and the rate of each step: it falls after the sixth.
GRADIENTS = [2.0, -1.5, 0.5, 3.0, 1.0, -0.5, 2.5, 0.25, -2.0, 1.0]
RATES = 6 * [0.1] + 4 * [0.01]
MOMENTUM, DECAY = 0.9, 0.05


def weight(values, device, gradient=None, dtype=np.float64):
    """A parameter, with a gradient if there is one."""
    w = Tensor(np.array(values, dtype), device, requires_grad=True)
    if gradient is not None:
        w.grad = Tensor(np.full(w.shape, gradient, dtype), device)
    return w


def train(w, optimizer, gradients=GRADIENTS, rates=RATES):
    """The values of w after each step, the gradients being given."""
    values = []
    for gradient, rate in zip(gradients, rates, strict=True):
        w.grad = Tensor(np.full(w.shape, gradient, w.dtype), w.device)
        optimizer.lr = rate
        optimizer.step()
        values.append(w.numpy().ravel()[0])
    return values


# The rule


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_ten_steps_of_the_paper_with_a_fall_of_the_rate(device, dtype, rtol):
    """Section 5: the rate is inside v, so the old velocity lives on when the rate falls."""
    w, v, expected = 1.0, 0.0, []
    for g, lr in zip(GRADIENTS, RATES, strict=True):
        v = 0.9 * v - 0.05 * lr * w - lr * g
        w = w + v
        expected.append(w)
    assert expected[0] == pytest.approx(1 - 0.005 - 0.2)
    assert expected[1] == pytest.approx(0.795 - 0.9 * 0.205 - 0.05 * 0.1 * 0.795 + 0.15)

    parameter = weight([1.0], device, dtype=dtype)
    optimizer = optim.SGD({"weight": parameter}, lr=0.1, momentum=MOMENTUM, weight_decay=DECAY)
    np.testing.assert_allclose(train(parameter, optimizer), expected, rtol=rtol)
    np.testing.assert_allclose(optimizer.state()["weight"], [v], rtol=rtol)


def test_rule_of_pytorch_parts_from_ours_when_the_rate_falls(device):
    """There the rate stands outside: the step shrinks at once. Before that the two are equal."""
    w, v, theirs = 1.0, 0.0, []
    for g, lr in zip(GRADIENTS, RATES, strict=True):
        v = 0.9 * v + (g + 0.05 * w)
        w = w - lr * v
        theirs.append(w)

    parameter = weight([1.0], device)
    ours = train(parameter, optim.SGD(
        {"weight": parameter}, lr=0.1, momentum=MOMENTUM, weight_decay=DECAY))
    np.testing.assert_allclose(ours[:6], theirs[:6], rtol=1e-13)
    assert all(abs(a - b) > 0.1 for a, b in zip(ours[6:], theirs[6:], strict=True))


def test_defaults_are_those_of_2012(device):
    optimizer = optim.SGD([weight([1.0], device)])
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.01, 0.9, 0.0005)


def test_biases_learn_twice_as_fast_and_do_not_decay(device):
    w, b = weight([1.0], device, 3.0), weight([1.0], device, 3.0)
    optim.SGD({"fc.weight": w, "fc.bias": b}, lr=0.1, weight_decay=0.5).step()
    assert w.item() == pytest.approx(1 - 0.1 * 3 - 0.5 * 0.1 * 1)
    assert b.item() == pytest.approx(1 - 0.2 * 3)


def test_the_first_rule_whose_pattern_fits_counts(device):
    rules = {"conv1.*": {"lr": 0.5}, "*.bias": {"lr": 3.0, "weight_decay": 0.0},
             "*": {"weight_decay": 2.0}}
    names = ["conv1.weight", "conv1.bias", "conv2.bias", "conv2.weight"]
    parameters = {name: weight([1.0], device, 1.0) for name in names}
    optim.SGD(parameters, lr=0.1, weight_decay=0.5, rules=rules).step()
    changes = [p.item() - 1 for p in parameters.values()]
    assert changes == pytest.approx([
        -0.05 - 0.5 * 0.05, -0.05 - 0.5 * 0.05, -0.3, -0.1 - 2 * 0.5 * 0.1])


def test_without_rules_biases_are_weights(device):
    w, b = weight([1.0], device, 1.0), weight([1.0], device, 1.0)
    optim.SGD({"weight": w, "bias": b}, rules={}).step()
    assert w.item() == b.item()


def test_rate_0_freezes(device):
    """As the authors did with conv1 in the last epochs: no decay, and old velocity waits."""
    frozen, free = weight([1.0], device, 1.0), weight([1.0], device, 1.0)
    optimizer = optim.SGD({"conv1": frozen, "conv2": free}, rules={"conv1": {"lr": 0.0}})
    optimizer.load_state({"conv1": np.array([0.5]), "conv2": np.array([0.0])})
    for _ in range(3):
        optimizer.step()
    assert frozen.item() == 1 and free.item() < 1
    assert optimizer.state()["conv1"] == 0.5


def test_rules_are_one_for_each_parameter_and_may_be_changed(device):
    """Between steps, as schedules do; the given patterns stay as they are."""
    rules = {"*bias": {"lr": 2.0}}
    parameters = {name: weight([1.0], device, 1.0) for name in ("a.bias", "b.bias", "a.weight")}
    optimizer = optim.SGD(parameters, lr=0.1, weight_decay=0, rules=rules)
    assert optimizer.rules == {"a.bias": {"lr": 2.0}, "b.bias": {"lr": 2.0}, "a.weight": {}}
    optimizer.rules["a.bias"]["lr"] = 5.0
    optimizer.rules["a.weight"]["lr"] = 0.0
    optimizer.step()
    assert [p.item() for p in parameters.values()] == pytest.approx([0.5, 0.8, 1.0])
    assert rules == {"*bias": {"lr": 2.0}}


def test_parameter_without_a_gradient_is_left_alone(device):
    used, unused = weight([1.0], device, 1.0), weight([1.0], device)
    optim.SGD({"used": used, "unused": unused}).step()
    assert unused.item() == 1 and used.item() < 1


def test_step_does_not_change_gradients(device):
    w = weight(np.ones((3, 4)), device, 2.0)
    gradient = w.grad
    optimizer = optim.SGD({"weight": w})
    optimizer.step()
    assert w.grad is gradient
    np.testing.assert_array_equal(gradient.numpy(), 2)
    optimizer.zero_grad()
    assert w.grad is None


def test_gradient_that_is_not_contiguous(device, rng):
    """The gradient of a transpose is one; w must be updated entry by entry all the same."""
    values, upstream = rng.standard_normal((3, 4)), rng.standard_normal((4, 3))
    w = weight(values, device)
    ops.transpose(w).backward(upstream)
    optim.SGD({"weight": w}, lr=0.1, weight_decay=0).step()
    np.testing.assert_allclose(w.numpy(), values - 0.1 * upstream.T, rtol=1e-13)


def test_update_in_many_slices_is_the_same(device, rng, monkeypatch):
    def updated():
        w = weight(np.linspace(-1, 1, 5000).reshape(50, 100), device, dtype=np.float32)
        optimizer = optim.SGD({"weight": w}, lr=0.1, weight_decay=0.05)
        for _ in range(3):
            w.grad = Tensor(w.numpy() ** 2, device)
            optimizer.step()
        return w.numpy()

    at_once = updated()
    xp, slices = backend.device(device).xp, []
    whole = xp.over_batch

    def over_batch(fn, n, scratch_bytes):
        slices.extend(xp._slices(n, scratch_bytes))
        return whole(fn, n, scratch_bytes)

    monkeypatch.setattr(xp, "workspace", 4096)
    monkeypatch.setattr(xp, "over_batch", over_batch, raising=False)
    np.testing.assert_array_equal(updated(), at_once)
    assert len(slices) > 3 * 5, "the update was not cut into slices"


LAYOUTS = {
    "Fortran": np.asfortranarray, "transposed": lambda a: a.T.copy().T,
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "column": lambda a: np.concatenate([a, a], axis=1)[:, : a.shape[1]],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("place", ["weight", "velocity", "gradient"])
def test_layout_in_memory_does_not_matter(layout, place, rng):
    """Also where the user has put another array into `data`: the update reaches that array."""
    values, gradient = rng.standard_normal((4, 6)), rng.standard_normal((4, 6))
    w = weight(values, "cpu:0")
    optimizer = optim.SGD({"weight": w}, lr=0.1, momentum=0.5, weight_decay=0)
    w.grad = Tensor(gradient, "cpu:0")
    odd = {"weight": w, "velocity": optimizer.velocities["weight"], "gradient": w.grad}[place]
    odd.data = array = layout(odd.numpy())
    optimizer.step()
    optimizer.step()
    np.testing.assert_allclose(w.numpy(), values - (0.1 + 0.15) * gradient, rtol=1e-12)
    np.testing.assert_allclose(optimizer.state()["weight"], -0.15 * gradient, rtol=1e-12)
    assert odd.data is array
    assert optimizer.state()["weight"].flags.c_contiguous


def test_parameter_given_twice_is_updated_once(device):
    w, bias = weight([1.0], device, 1.0), weight([2.0], device, 1.0)
    for parameters in [w, bias, w], {"a": w, "b": bias, "tied": w}, (p for p in [w, w, bias]):
        before = w.item()
        optimizer = optim.SGD(parameters, lr=0.1, weight_decay=0, rules={})
        optimizer.step()
        assert w.item() == pytest.approx(before - 0.1)
        assert len(optimizer.state()) == 2


def test_network_moved_after_the_optimizer_was_made(devices):
    """The velocities follow it; the run goes on as if it had always been there."""
    def run(move):
        net = nn.Linear(2, 3, rng=0, device=devices[0])
        optimizer = optim.SGD(net.named_parameters(), lr=0.1)
        for step in range(3):
            if step == 1 and move:
                net.to(devices[1])
            for p in net.parameters():
                p.grad = Tensor(np.full(p.shape, step + 1, np.float32), p.device)
            optimizer.step()
        return net.state(), optimizer.state()

    for stayed, moved in zip(run(False), run(True), strict=True):
        for name in stayed:
            np.testing.assert_allclose(moved[name], stayed[name], rtol=1e-6)


@pytest.mark.parametrize(("other", "message"), [
    (np.ones((2, 3)), r"w was float32 \(2, 3\) and is now float64 \(2, 3\)"),
    (np.ones((3, 2), np.float32), r"w was float32 \(2, 3\) and is now float32 \(3, 2\)"),
    (np.ones((2, 3), ">f4"), r"w was float32 \(2, 3\) and is now >f4 \(2, 3\)"),
], ids=["type", "shape", "byte order"])
def test_another_kind_of_array_in_a_parameter(other, message):
    w = weight(np.ones((2, 3)), "cpu:0", 1.0, np.float32)
    optimizer = optim.SGD({"w": w})
    w.data = other
    with pytest.raises(ValueError, match=rf"SGD: {message}; .*make a new SGD"):
        optimizer.step()


@pytest.mark.parametrize("view", [
    lambda a: np.broadcast_to(a[:1], a.shape),
    lambda a: np.lib.stride_tricks.as_strided(a, a.shape, (0, a.strides[1])),
    lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
], ids=["broadcast", "overlapping", "read-only"])
def test_array_that_cannot_be_updated_is_refused(view):
    w = weight(np.zeros((700, 3)), "cpu:0", 1.0, np.float32)
    sgd = optim.SGD({"w": w})
    w.data = view(np.ones((700, 3), np.float32))
    with pytest.raises(ValueError, match=r"^SGD: the array of parameter w is read-only.*a copy$"):
        sgd.step()
    assert (w.numpy() == 1).all()


def test_parameter_without_numbers(device):
    w = weight(np.zeros((0, 3)), device)
    sgd = optim.SGD([w])
    ops.sum(w).backward()
    sgd.step()
    assert w.shape == (0, 3)


@pytest.mark.parametrize("options", [
    {"lr": "0.1"}, {"momentum": None}, {"weight_decay": [1]}, {"rules": {"*bias": 0.5}},
    {"rules": [1]}], ids=str)
def test_options_of_other_types(options, device):
    name = next(iter(options))
    with pytest.raises(MinialexError, match=f"^SGD: {name} (is|are) ") as caught:
        optim.SGD([weight([1, 2], device)], **options)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "number", [np.float64, np.float32, np.array, Tensor], ids=lambda number: number.__name__)
@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay", "rule"])
def test_numbers_of_numpy_give_the_same_bits(name, number, device):
    """They would make float32 float64 on the way; a GPU would refuse an array from the host."""
    def learnt(number):
        w = weight(np.linspace(-1, 1, 1000), device, 1.0, np.float32)
        values = {"lr": 0.25, "momentum": 0.9, "weight_decay": 0.1, "rule": 0.3}
        values = {key: float(np.float32(value)) for key, value in values.items()}
        sgd = optim.SGD([w])
        values[name] = number(values[name])
        sgd.rules["0"] = {"lr": values.pop("rule")}
        sgd.lr, sgd.momentum, sgd.weight_decay = values.values()
        for _ in range(3):
            sgd.step()
        return w.numpy().tobytes()

    assert learnt(number) == learnt(float)


def test_rule_in_words(device):
    with pytest.raises(TypeError, match=r"^SGD: lr of the rule '\*bias' is 'twice'; it must be"):
        optim.SGD([weight([1, 2], device)], rules={"*bias": {"lr": "twice"}})


@pytest.mark.ch08
def test_each_parameter_is_updated_on_its_device(devices):
    parameters = {str(i): weight([1.0], device, 1.0) for i, device in enumerate(devices)}
    optimizer = optim.SGD(parameters)
    with backend.record_transfers() as log:
        optimizer.step()
    assert [p.device.name for p in parameters.values()] == list(devices)
    assert len({p.item() for p in parameters.values()}) == 1 and not log


# State


@pytest.mark.parametrize("named", [True, False], ids=["named", "list of tensors"])
def test_state_round_trip_continues_the_run(device, named):
    def start():
        pair = [weight([1.0], device, dtype=np.float32), weight([2.0], device, dtype=np.float32)]
        return pair, optim.SGD(dict(zip("ab", pair, strict=True)) if named else pair)

    def run(pair, optimizer, gradients):
        for g in gradients:
            for factor, p in enumerate(pair, 1):
                p.grad = Tensor(np.array([g * factor], np.float32), device)
            optimizer.step()

    through, optimizer = start()
    run(through, optimizer, GRADIENTS)

    stopped, optimizer = start()
    run(stopped, optimizer, GRADIENTS[:4])
    state = optimizer.state()
    kept = {name: velocity.copy() for name, velocity in state.items()}
    continued, optimizer = start()
    for p, old in zip(continued, stopped, strict=True):
        p.data = p.device.asarray(old.numpy())
    optimizer.load_state(state)
    run(continued, optimizer, GRADIENTS[4:])

    assert [p.item() for p in continued] == [p.item() for p in through]
    assert state == kept, "the state is a copy"


@pytest.mark.parametrize(("state", "message"), [
    ({}, r"SGD: weight is missing"),
    ({"weight": np.zeros(2), "more": np.zeros(2)}, r"SGD: more is float64 .*but missing here"),
    ({"weight": np.zeros(3)}, r"SGD: weight is float64 \(3,\) .*but float64 \(2,\)"),
], ids=["missing", "unknown", "shape"])
def test_state_of_another_network(device, state, message):
    optimizer = optim.SGD({"weight": weight([1.0, 2.0], device)})
    with pytest.raises(ValueError, match=message):
        optimizer.load_state(state)


# What SGD refuses


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [-0.1, float("nan")])
def test_negative_numbers(device, name, value):
    with pytest.raises(ValueError, match=rf"SGD: .*{name}\D* {value}\b.*"):
        optim.SGD([weight([1.0], device)], **{name: value})


def test_parameters_of_two_networks_with_the_same_names(device):
    """In a dict the second would silently take the place of the first."""
    a, b = (nn.Parameter(np.ones(2, np.float32), device, "conv1.weight") for _ in range(2))
    with pytest.raises(ValueError, match=r"SGD: two parameters have the same name.*pass a dict"):
        optim.SGD([a, b])


def test_no_parameters():
    for nothing in [], {}, iter(()):
        with pytest.raises(ValueError, match=r"SGD: there are no parameters; pass net\.param"):
            optim.SGD(nothing)


@pytest.mark.parametrize("bad", [
    lambda w: [np.ones(2)], lambda w: {"w": 3.0}, lambda w: [w * 2], lambda w: [[w]],
], ids=["array", "number", "result", "nested"])
def test_what_cannot_be_learnt(bad):
    with pytest.raises(TypeError, match=r"SGD: parameter .* is a .*pass net\.parameters\(\)"):
        optim.SGD(bad(weight([1.0], "cpu:0")))


@pytest.mark.parametrize("given", [nn.ReLU(), None, 3], ids=repr)
def test_what_holds_no_parameters(given):
    with pytest.raises(TypeError, match=rf"SGD: got a {type(given).__name__}; pass net\.param"):
        optim.SGD(given)


def test_misspelt_attribute(device):
    optimizer = optim.SGD([weight([1, 2], device)])
    with pytest.raises(AttributeError, match="learning_rate"):
        optimizer.learning_rate = 0.1


def test_misspelt_rule():
    with pytest.raises(ValueError, match="SGD: rules has 'rate'; a rule multiplies 'lr' or"):
        optim.SGD([weight([1.0], "cpu:0")], rules={"*bias": {"rate": 2.0}})
