"""The convolutional training steps of program.rs and its LSTM in PyTorch, with AdamW: python3 benches/program.py [THREADS] [NAME] [compiled]

Microseconds a step, the fastest of many rounds: processor time on one thread, the clock's on more. With `compiled` the model and its loss go
through torch.compile, which needs a C++ compiler.
"""
import sys
import time

import torch
from torch import nn

compiled = "compiled" in sys.argv
arguments = [argument for argument in sys.argv[1:] if argument != "compiled"]
threads = int(arguments[0]) if arguments else 1
torch.set_num_threads(threads)
torch.manual_seed(1)
now = time.thread_time if threads == 1 else time.perf_counter


def separable(inputs, outputs, stride):
    return [
        nn.Conv2d(inputs, inputs, 3, stride=stride, padding=1, groups=inputs),
        nn.BatchNorm2d(inputs),
        nn.Hardswish(),
        nn.Conv2d(inputs, outputs, 1),
        nn.BatchNorm2d(outputs),
        nn.Hardswish(),
    ]


def block(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]


models = {
    "cnn": (
        [64, 1, 8, 8],
        block(1, 32) + block(32, 64) + [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 16, 64), nn.ReLU()]
        + [nn.Dropout(0.25), nn.Linear(64, 10)],
    ),
    "cnn32": (
        [32, 3, 32, 32],
        block(3, 16) + [nn.MaxPool2d(2)] + block(16, 32) + [nn.MaxPool2d(2)] + block(32, 64) + [nn.MaxPool2d(2)]
        + [nn.Flatten(), nn.Linear(64 * 16, 10)],
    ),
    "separable": (
        [16, 3, 32, 32],
        [nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Hardswish()]
        + separable(16, 32, 2) + separable(32, 64, 2)
        + [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)],
    ),
    "lstm": ([32, 32, 16], [nn.LSTM(16, 64, batch_first=True)]),
}

for name, (shape, layers) in models.items():
    if name not in arguments[1:] + [name] * (len(arguments) < 2):
        continue
    model = nn.Sequential(*layers)
    x = torch.randn(shape)
    y, loss = torch.randint(0, 10, shape[:1]), nn.CrossEntropyLoss()
    output = model
    if name == "lstm":
        y, loss = torch.randn(32, 32, 64), nn.MSELoss()
        output = lambda x: model(x)[0]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    evaluate = lambda x, y: loss(output(x), y)
    if compiled:
        evaluate = torch.compile(evaluate)
    best = float("inf")
    for _ in range(60):
        start = now()
        for _ in range(4):
            optimizer.zero_grad()
            evaluate(x, y).backward()
            optimizer.step()
        best = min(best, (now() - start) / 4)
    print(f"| {name}, AdamW{', compiled' * compiled} | {best * 1e6:.1f} |", flush=True)
