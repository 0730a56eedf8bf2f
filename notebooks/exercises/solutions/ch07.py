"""Solutions of chapter 07."""

import minialex as ma


def parameters_of_c3(seen, kernel=5):
    return sum(kernel * kernel * maps + 1 for maps in seen)


def uncertainty(error, n):
    return (error * (1 - error) / n) ** 0.5


def receptive_field(layers):
    field = 1
    for size, stride in reversed(layers):
        field = (field - 1) * stride + size
    return field


def best_epoch(errors, patience):
    best = 0
    for epoch, error in enumerate(errors):
        if error < errors[best]:
            best = epoch
        if epoch - best == patience:
            break
    return best


def error_rate(net, images, labels, batch):
    was_training, wrong = net.training, 0
    net.eval()
    with ma.no_grad():
        for i in range(0, len(images), batch):
            guesses = net(images[i : i + batch]).numpy().argmax(axis=1)
            wrong += (guesses != labels[i : i + batch]).sum()
    net.train(was_training)
    return wrong / len(images)
