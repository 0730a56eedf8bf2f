"""Tests of the exercises of chapter 13."""

import numpy as np
import pytest
from checking import same

from minialex import Tensor, models, nn, ops, optim

pytestmark = pytest.mark.ch13
PLACES = ("cpu:0", "cpu:1")


def small(classes, width=1 / 32, seed=0):
    return models.AlexNet(PLACES, classes, image_size=19, channels=1, width=width, init="he",
                          seed=seed)


class TwoLayers(nn.Module):
    def __init__(self):
        self.fc8, self.fc80 = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc80(self.fc8(x))


def images(n):
    return np.random.default_rng(0).standard_normal((n, 19, 19, 1)).astype(np.float32)


def names_of(found):
    """As a list, if it is any kind of list of names."""
    return list(found) if isinstance(found, (list, tuple, set, dict)) else found


@pytest.mark.parametrize(("size", "of", "classes"), [
    ("full", 10, 10), ("full", 10, 1000), ("small", 7, 7), ("small", 7, 3)])
def test_trained(answers, size, of, classes):
    net = models.AlexNet(PLACES, of) if size == "full" else small(of)
    rows = net.count()
    fc8, units = rows[-1].parameters, net.fc8.weight.shape[0]
    rest = sum(p.size for p in net.parameters()) - fc8
    new = (units + 1) * classes
    same(f"trained(rows of a {size} AlexNet with {of} classes, {classes})",
         answers.trained(rows, classes), (new, rest), [
             ((units * classes, rest), "Each class has a bias, too."),
             ((fc8, rest), "That is the old fc8; the new one has another number of classes."),
             ((new, rest + fc8), "The old fc8 is thrown away, not frozen."),
             ((new, rest + new), "The new layer is not frozen."),
             ((rest, new), "The trained ones come first.")])


def test_graft(answers):
    net, old = small(5, seed=1), small(7)
    before, source = net.state(), old.state()
    fit = [name for name in before if "fc8" not in name]
    same("graft(net of 5 classes, old of 7)", names_of(answers.graft(net, old)),
         ["fc8.weight", "fc8.bias"], [
             (fit, "Those are the names that fit; return the others."),
             ([], "The name of fc8.weight is in both, but its shape is another.")])
    for name, array in net.state().items():
        same(f"{name} after graft(net, old)", array, (before if "fc8" in name else source)[name], [
            (before[name], "It fits, but was not copied.")])
    for name, array in old.state().items():
        same(f"{name} of old after graft(net, old)", array, source[name], [
            (net.state()[name], "The copy goes from old to net.")])


def test_graft_between_different_networks(answers):
    net, old = small(7, width=1 / 16, seed=1), small(7)
    before, source = net.state(), old.state()
    left = [name for name in before if before[name].shape != source[name].shape]
    same("graft(a wider net, old)", names_of(answers.graft(net, old)), left, [
        (list(before), "fc8.bias has the same shape in both.")])
    same("fc8.bias after graft(a wider net, old)", net.fc8.bias, source["fc8.bias"])
    same("graft(another kind of net, old)", names_of(answers.graft(TwoLayers(), small(4))),
         ["fc8.weight", "fc80.weight", "fc80.bias"], [
             (["fc8.weight"], "Names that old does not have at all are left, too.")])


@pytest.mark.parametrize("but", ["columns.1.fc7", "fc8"])
def test_freeze(answers, but):
    net = small(7)
    expected = sorted([f"{but}.bias", f"{but}.weight"])
    everything = sorted(net.named_parameters())
    other = sorted(name for name in everything if name not in expected)
    same(f'freeze(net, "{but}")', sorted(names_of(answers.freeze(net, but)) or []), expected, [
        (other, "Those are the frozen ones; return those that learn."),
        ([], "Return the names of the layer's parameters.")])
    before, sgd = net.state(), optim.SGD(net.parameters())
    ops.softmax_cross_entropy(net(images(4)), np.arange(4)).backward()
    sgd.step()
    learnt = sorted(name for name, array in net.state().items()
                    if not np.array_equal(array, before[name]))
    same(f'what learns after freeze(net, "{but}")', learnt, expected, [
        (everything, "Nothing was frozen: set requires_grad of the others to False."),
        (other, "It is the other way round."), ([], "Now nothing learns.")])


def test_freeze_twice(answers):
    net = small(7)
    answers.freeze(net, "columns.1.fc7")
    answers.freeze(net, "fc8")
    wants = [name for name, p in net.named_parameters().items() if p.requires_grad]
    same('what wants a gradient after freezing all but "columns.1.fc7", then all but "fc8"',
         sorted(wants), ["fc8.bias", "fc8.weight"], [
             ([], "The layer was frozen before; its parameters must want a gradient again.")])


def test_freeze_does_not_take_one_name_for_another(answers):
    net = TwoLayers()
    answers.freeze(net, "fc8")
    same('what wants a gradient after freeze(net with fc8 and fc80, "fc8")',
         [bool(p.requires_grad) for p in net.parameters()], [True, True, False, False], [
             (4 * [True], "The name fc80 begins with fc8, too; look for the dot.")])


@pytest.mark.parametrize("training", [True, False])
def test_features(answers, training):
    net, x = small(7).train(training), images(5)
    fc8, units = net.fc8, net.fc8.weight.shape[0]
    found = answers.features(net, x, 2)
    if not isinstance(found, np.ndarray) or found.shape != (5, units):
        kind = f"{type(found).__name__} of shape {getattr(found, 'shape', None)}"
        pytest.fail(f"features(net, 5 images, 2) gives {kind}; right is a NumPy array of shape "
                    f"{(5, units)}.", pytrace=False)
    if net.fc8 is not fc8:
        pytest.fail("net has another fc8 after features(...); put the old one back.", pytrace=False)
    same("the mode of the modules after features(...)",
         sorted({module.training for _, module in net.named_modules()}), [training], [
             ([not training], "Remember net.training, and set it again at the end.")])
    net.eval()
    scores = net(x).numpy()
    again = net.train(training) and answers.features(net, x, 9)
    same("fc8 applied to features(net, 5 images, 2)", fc8(Tensor(found)), scores, [], rtol=1e-3,
         atol=1e-4)
    same("features(net, 5 images, 9)", again, found, [], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("layer", "factor"), [("fc8", 10), ("columns.0.fc7", 4)])
def test_tuning_rules(answers, layer, factor):
    of(answers, small(7), layer, factor)


def test_tuning_rules_do_not_take_one_name_for_another(answers):
    of(answers, TwoLayers(), "fc8", 10)


def of(answers, net, layer, factor):
    given = answers.tuning_rules(layer, factor)
    if not isinstance(given, dict):
        pytest.fail(f'tuning_rules("{layer}", {factor}) gives {given!r}; right is a dict of '
                    "patterns.", pytrace=False)
    rules = optim.SGD(net.named_parameters(), rules=given).rules
    for name, rule in rules.items():
        mine, bias = name.startswith(layer + "."), name.endswith("bias")
        found = rule.get("lr", 1), rule.get("weight_decay", 1)
        right = (factor if mine else 1) * (2 if bias else 1), 0 if bias else 1
        same(f"(rate, decay) of {name} with tuning_rules({layer!r}, {factor})", found, right, [
            ((factor, right[1]), "Either this is not the layer, or it is its bias, which learns "
             "twice as fast as its weights."),
            ((2, 0), "The first pattern that fits counts: the layer's own bias must come first."),
            ((2 * factor, 0), "This is a bias of another layer."),
            ((right[0], 1), "Biases do not decay.")])


def test_layer_of_means(answers):
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(6), rng.integers(0, 6, 60)])
    x = rng.standard_normal((66, 5)) + 3 * labels[:, None]  # the means differ in length
    found = answers.layer_of_means(x, labels)
    if not isinstance(found, tuple) or [np.shape(part) for part in found] != [(5, 6), (6,)]:
        pytest.fail(f"layer_of_means(x, labels) gives {[np.shape(p) for p in found or ()]}; right "
                    "is (w, b) of shapes (5, 6) and (6,).", pytrace=False)
    w, b = found
    test = 3 * rng.standard_normal((200, 5)) + 8
    means = np.array([x[labels == k].mean(axis=0) for k in range(6)])
    square = np.sum(means**2, axis=1)
    nearest = np.array([np.argmin(np.sum((y - means) ** 2, axis=1)) for y in test])
    same("the best classes of 200 points with layer_of_means(x, labels)",
         (test @ w + b).argmax(axis=1), nearest, [
             ((test @ means.T).argmax(axis=1), "The lengths of the means matter: the bias."),
             ((test @ means.T - square).argmax(axis=1), "The bias is half of |mean|², negative."),
             ((test @ means.T + square / 2).argmax(axis=1), "The bias must be negative."),
             ((2 * test @ means.T - square).argmin(axis=1), "Those are the farthest means.")])
