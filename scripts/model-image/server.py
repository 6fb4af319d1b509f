"""A voice activity server: the Silero VAD model in onnxruntime behind HTTP.

GET  /health     200 once the model is loaded
POST /v1/speech  a WAV file (16 kHz, mono, 16 bit) -> the probability of speech in each 32 ms window, and the segments
"""

import array
import io
import json
import os
import signal
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy
import onnxruntime

RATE = 16000
WINDOW = 512  # samples the model looks at in one step: 32 ms
CONTEXT = 64  # samples of the step before that it wants again
LARGEST = 64 << 20


class Model:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def probabilities(self, samples):
        """The probability of speech in each window of float samples from -1 to 1."""
        state = numpy.zeros((2, 1, 128), numpy.float32)
        context = numpy.zeros(CONTEXT, numpy.float32)
        rate = numpy.array(RATE, numpy.int64)
        result = []
        for start in range(0, len(samples) - WINDOW + 1, WINDOW):
            window = samples[start : start + WINDOW]
            value, state = self.session.run(
                None, {"input": numpy.concatenate([context, window])[None, :], "state": state, "sr": rate}
            )
            context = window[-CONTEXT:]
            result.append(round(float(value[0, 0]), 4))
        return result


def read_wav(data):
    with wave.open(io.BytesIO(data)) as audio:
        shape = (audio.getframerate(), audio.getnchannels(), audio.getsampwidth())
        if shape != (RATE, 1, 2):
            raise ValueError("16 kHz, one channel, 16 bit wanted, not %d Hz, %d, %d bit" % (shape[0], shape[1], shape[2] * 8))
        frames = array.array("h", audio.readframes(audio.getnframes()))
    return numpy.frombuffer(frames, numpy.int16).astype(numpy.float32) / 32768


def segments(probabilities, threshold=0.5):
    """Runs of windows that hold speech, in seconds."""
    found, start = [], None
    for index, probability in enumerate(probabilities + [0.0]):
        if probability >= threshold and start is None:
            start = index
        elif probability < threshold and start is not None:
            found.append({"start": round(start * WINDOW / RATE, 3), "end": round(index * WINDOW / RATE, 3)})
            start = None
    return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/health":
            self.answer(200, {"status": "ok", "model": "silero-vad", "load_seconds": LOAD_SECONDS})
        else:
            self.answer(404, {"error": "not found: " + self.path})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST:
            self.close_connection = True
            return self.answer(413, {"error": "at most %d bytes" % LARGEST})
        data = self.rfile.read(length)
        if self.path != "/v1/speech":
            return self.answer(404, {"error": "not found: " + self.path})
        try:
            samples = read_wav(data)
        except (wave.Error, ValueError, EOFError) as error:
            return self.answer(400, {"error": str(error)})
        probabilities = MODEL.probabilities(samples)
        self.answer(
            200,
            {
                "model": "silero-vad",
                "window_ms": 1000 * WINDOW // RATE,
                "probabilities": probabilities,
                "segments": segments(probabilities),
            },
        )

    def log_message(self, form, *values):
        print("%s %s" % (self.address_string(), form % values), flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    began = time.monotonic()
    MODEL = Model(os.environ.get("MODEL", "/models/silero_vad.onnx"))
    LOAD_SECONDS = round(time.monotonic() - began, 3)
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("silero-vad on port %d, loaded in %.3f s" % (server.server_port, LOAD_SECONDS), flush=True)
    server.serve_forever()
