"""The script of blog posts: FastAPI, a form upload, Pillow, one session, one process under uvicorn; tuned, a process a
core and no line a request.
"""

import uvicorn
from classifier import TASK, best_five, decode, open_session
from fastapi import FastAPI, File, UploadFile

app = FastAPI()
session = open_session()
labels = TASK.labels


@app.post("/predict")
async def predict(file: UploadFile = File(...)):  # noqa: B008 - as FastAPI's documentation writes it
    pixels = decode(await file.read())
    probabilities = session.run(["probabilities"], {"image": pixels[None]})[0]
    return best_five(probabilities[0], labels)


if __name__ == "__main__":
    options = {"workers": TASK.cores, "access_log": False} if TASK.tuned else {}
    uvicorn.run("serve_naive:app", host="127.0.0.1", port=TASK.port, **options)
