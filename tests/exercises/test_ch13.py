"""Tests of the exercises of chapter 13."""

import numpy as np
import pytest

from minialex import Tensor, models, nn, ops, optim

pytestmark = pytest.mark.ch13


def small(classes, width=1 / 32, seed=0):
    return models.AlexNet(["cpu:0", "cpu:0"], classes, image_size=19, channels=1, width=width,
                          init="he", seed=seed)


class TwoLayers(nn.Module):
    def __init__(self):
        self.fc8, self.fc80 = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.fc80(self.fc8(x))


def images(n):
    return np.random.default_rng(0).standard_normal((n, 19, 19, 1)).astype(np.float32)


def test_trained(answers):
    full = models.AlexNet(["cpu:0", "cpu:0"], 10).count()
    assert tuple(answers.trained(full, 10)) == (40_970, 56_868_224)
    assert tuple(answers.trained(full, 1000)) == (4_097_000, 56_868_224)
    net = small(7)
    fc8 = sum(p.size for p in net.fc8.parameters())
    rest = sum(p.size for p in net.parameters()) - fc8
    assert tuple(answers.trained(net.count(), 7)) == (fc8, rest)


def test_graft(answers):
    net, old = small(5, seed=1), small(7)
    before, source = net.state(), old.state()
    assert list(answers.graft(net, old)) == ["fc8.weight", "fc8.bias"]
    for name, array in net.state().items():
        np.testing.assert_array_equal(array, (before if "fc8" in name else source)[name])
    for name, array in old.state().items():
        np.testing.assert_array_equal(array, source[name])


def test_graft_between_different_networks(answers):
    net, old = small(7, width=1 / 16, seed=1), small(7)
    before, source = net.state(), old.state()
    left = list(answers.graft(net, old))
    assert left == [name for name in before if before[name].shape != source[name].shape]
    assert "fc8.bias" not in left
    np.testing.assert_array_equal(net.fc8.bias.numpy(), source["fc8.bias"])
    assert list(answers.graft(TwoLayers(), small(4))) == ["fc8.weight", "fc80.weight", "fc80.bias"]


def test_freeze(answers):
    net = small(7)
    assert sorted(answers.freeze(net, "columns.1.fc7")) == ["columns.1.fc7.bias",
                                                            "columns.1.fc7.weight"]
    assert sorted(answers.freeze(net, "fc8")) == ["fc8.bias", "fc8.weight"]
    before, sgd = net.state(), optim.SGD(net.parameters())
    ops.softmax_cross_entropy(net(images(4)), np.arange(4)).backward()
    sgd.step()
    for name, array in net.state().items():
        assert np.array_equal(array, before[name]) != name.startswith("fc8."), name


def test_freeze_does_not_take_one_name_for_another(answers):
    net = TwoLayers()
    assert sorted(answers.freeze(net, "fc8")) == ["fc8.bias", "fc8.weight"]
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, False]


@pytest.mark.parametrize("training", [True, False])
def test_features(answers, training):
    net, x = small(7).train(training), images(5)
    fc8 = net.fc8
    found = answers.features(net, x, 2)
    assert isinstance(found, np.ndarray)
    assert found.shape == (5, net.fc8.weight.shape[0])
    assert net.fc8 is fc8
    assert {module.training for _, module in net.named_modules()} == {training}
    np.testing.assert_allclose(answers.features(net, x, 9), found, rtol=1e-5, atol=1e-6)
    scores = net.eval()(x).numpy()
    np.testing.assert_allclose(fc8(Tensor(found)).numpy(), scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("layer", "factor"), [("fc8", 10), ("columns.0.fc7", 4)])
def test_tuning_rules(answers, layer, factor):
    net = small(7)
    rules = optim.SGD(net.named_parameters(), rules=answers.tuning_rules(layer, factor)).rules
    for name, rule in rules.items():
        bias = name.endswith("bias")
        rate = (factor if name.startswith(layer + ".") else 1) * (2 if bias else 1)
        assert (rule.get("lr", 1), rule.get("weight_decay", 1)) == (rate, 0 if bias else 1), name


def test_tuning_rules_do_not_take_one_name_for_another(answers):
    parameters = TwoLayers().named_parameters()
    rules = optim.SGD(parameters, rules=answers.tuning_rules("fc8", 10)).rules
    assert [rule.get("lr", 1) for rule in rules.values()] == [10, 20, 1, 2]


def test_layer_of_means(answers):
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(6), rng.integers(0, 6, 60)])
    x = rng.standard_normal((66, 5)) + 3 * labels[:, None]  # the means differ in length
    w, b = answers.layer_of_means(x, labels)
    assert w.shape == (5, 6) and b.shape == (6,)
    test = 3 * rng.standard_normal((200, 5)) + 8
    means = [x[labels == k].mean(axis=0) for k in range(6)]
    nearest = [np.argmin([np.sum((y - mean) ** 2) for mean in means]) for y in test]
    np.testing.assert_array_equal((test @ w + b).argmax(axis=1), nearest)
