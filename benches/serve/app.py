"""The peer of `tealight serve`: the same network in FastAPI and PyTorch. benches/README.md says how it is run."""

import torch
from fastapi import FastAPI
from pydantic import BaseModel

torch.set_num_threads(1)
net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10), torch.nn.Softmax(1)).eval()
mean, std = torch.zeros(64), torch.ones(64)
names = [f"d{i}" for i in range(10)]
app = FastAPI()


class Rows(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(body: Rows):
    with torch.inference_mode():
        p = net((torch.tensor(body.rows) - mean) / std).tolist()
    return {"predictions": [{"class": names[max(range(10), key=row.__getitem__)], "probability": max(row), "probabilities": dict(zip(names, row))} for row in p]}
