"""Ask one real engine to load and to transcribe; run by the Python that has it, from 3.9.

    python worker.py ENGINE CLIP

A request is a line of JSON on standard input, its answer a line on standard output. The engine is
imported once; each request is answered in its own child, which may crash or hang.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
import wave
from typing import Any

# Damaged weights babble for minutes, at every temperature they are tried at.
_MOST_TOKENS = 32
_GREEDY: dict[str, Any] = {"language": "en", "temperature": 0.0, "sample_len": _MOST_TOKENS}


def samples_of(clip: str) -> Any:
    """Return the samples of a clip as numpy's float32."""
    import numpy

    with wave.open(clip) as file:
        data = file.readframes(file.getnframes())
    return numpy.frombuffer(data, "<i2").astype("float32") / 32768


def refuse_network(event: str, arguments: Any) -> None:
    """Raise if anything looks up a name or connects to another machine."""
    if event == "socket.getaddrinfo" or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        raise OSError("no network here")


class FasterWhisper:
    """CTranslate2."""

    def bring(self) -> None:
        """Import the engine."""
        import faster_whisper

        self.engine = faster_whisper

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        return self.engine.WhisperModel(
            model, device="cpu", compute_type="int8", cpu_threads=1, **options
        )

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        segments, _ = model.transcribe(
            samples, language="en", beam_size=1, temperature=0.0, max_new_tokens=_MOST_TOKENS
        )
        return "".join(segment.text for segment in segments)


class WhisperCpp:
    """By its binding."""

    def bring(self) -> None:
        """Import the engine."""
        from pywhispercpp.model import Model

        self.engine = Model

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        return self.engine(
            model, redirect_whispercpp_logs_to=False, n_threads=2, print_progress=False, **options
        )

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        segments = model.transcribe(
            samples, audio_ctx=256, temperature_inc=0.0, max_tokens=_MOST_TOKENS
        )
        return " ".join(segment.text for segment in segments)


class MlxWhisper:
    """Loads when it transcribes."""

    def bring(self) -> None:
        """Import the engine."""
        import mlx_whisper
        import mlx_whisper.load_models
        import mlx_whisper.transcribe

        self.engine = mlx_whisper

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        module = sys.modules["mlx_whisper.transcribe"]
        import mlx.core

        module.ModelHolder.get_model(model, mlx.core.float32)
        return model

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        found = self.engine.transcribe(samples, path_or_hf_repo=model, fp16=False, **_GREEDY)
        return str(found["text"])


class Lightning:
    """Its class fetches, its function loads and transcribes."""

    def bring(self) -> None:
        """Import the engine."""
        import lightning_whisper_mlx
        import lightning_whisper_mlx.transcribe

        self.engine = lightning_whisper_mlx

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        return self.engine.LightningWhisperMLX(model=model, **options).name

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        module = sys.modules["lightning_whisper_mlx.transcribe"]
        found = module.transcribe_audio(
            samples,
            path_or_hf_repo="./mlx_models/" + model,
            batch_size=1,
            fp16=False,
            **_GREEDY,
        )
        return str(found["text"])


class ParakeetMlx:
    """Random weights: what it says means nothing."""

    def bring(self) -> None:
        """Import the engine."""
        import parakeet_mlx
        import parakeet_mlx.audio

        self.engine = parakeet_mlx

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        import mlx.core

        return self.engine.from_pretrained(model, dtype=mlx.core.float32, **options)

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        import mlx.core
        from parakeet_mlx.audio import get_logmel

        mel = get_logmel(mlx.core.array(samples), model.preprocessor_config)
        return model.generate(mel)[0].text


class OpenaiWhisper:
    """On torch."""

    def bring(self) -> None:
        """Import the engine."""
        import torch
        import whisper

        torch.set_num_threads(1)
        self.engine = whisper

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        return self.engine.load_model(model, device="cpu", **options)

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        return model.transcribe(samples, fp16=False, **_GREEDY)["text"]


class WhisperMps:
    """Reads with torch, runs on MLX."""

    def bring(self) -> None:
        """Import the engine."""
        import torch
        import whisper_mps.whisper.load_models
        import whisper_mps.whisper.transcribe  # noqa: F401

        torch.set_num_threads(1)

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        import mlx.core

        holder = sys.modules["whisper_mps.whisper.transcribe"].ModelHolder
        load = sys.modules["whisper_mps.whisper.load_models"].load_model
        holder.model = load(model, dtype=mlx.core.float32, **options)
        holder.model_name = model
        return model

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        module = sys.modules["whisper_mps.whisper.transcribe"]
        return module.transcribe(samples, model=model, fp16=False, **_GREEDY)["text"]


class Transformers:
    """As insanely-fast-whisper calls it."""

    def bring(self) -> None:
        """Import the engine."""
        import torch
        from transformers import pipeline

        torch.set_num_threads(1)
        self.engine = pipeline

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        return self.engine("automatic-speech-recognition", model=model, device="cpu", **options)

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        found = model(
            {"raw": samples, "sampling_rate": 16000},
            chunk_length_s=30,
            return_timestamps=True,
            generate_kwargs={"max_new_tokens": _MOST_TOKENS},
        )
        return str(found["text"])


class TransformersSmall:
    """The newest without torch: configuration, tokenizer and feature extractor, no weights."""

    def bring(self) -> None:
        """Import the engine."""
        import transformers
        import transformers.models.whisper

        self.engine = transformers

    def load(self, model: str, options: dict[str, Any]) -> Any:
        """Load a model as it is called."""
        config = self.engine.AutoConfig.from_pretrained(model, **options)
        extractor = self.engine.WhisperFeatureExtractor.from_pretrained(model, **options)
        tokenizer = self.engine.AutoTokenizer.from_pretrained(model, **options)
        assert config.model_type == "whisper", config
        assert extractor.feature_size in (80, 128), extractor
        return tokenizer

    def transcribe(self, model: Any, samples: Any) -> Any:
        """Return the words."""
        return model.decode(
            model("She opened the door and walked into the room.").input_ids,
            skip_special_tokens=True,
        )


ENGINES: dict[str, Any] = {
    "faster-whisper": FasterWhisper,
    "whisper.cpp": WhisperCpp,
    "mlx-whisper": MlxWhisper,
    "lightning-whisper-mlx": Lightning,
    "parakeet-mlx": ParakeetMlx,
    "openai-whisper": OpenaiWhisper,
    "whisper-mps": WhisperMps,
    "insanely-fast-whisper": Transformers,
    "transformers": TransformersSmall,
}


def answer(engine: Any, request: dict[str, Any], samples: Any) -> dict[str, Any]:
    """Load and transcribe; an exception is an answer."""
    os.chdir(request["cwd"])
    try:
        model = engine.load(request["model"], request["options"])
    except BaseException as error:  # noqa: BLE001 - whatever it raises is an answer
        return {"stage": "load", "error": said(error)}
    try:
        return {"stage": "done", "text": engine.transcribe(model, samples)}
    except BaseException as error:  # noqa: BLE001 - the same
        return {"stage": "transcribe", "error": said(error)}


def said(error: BaseException) -> str:
    """Return an error as the last line of Python's traceback."""
    return "".join(traceback.format_exception_only(type(error), error)).strip()[-600:]


def in_child(engine: Any, request: dict[str, Any], samples: Any) -> dict[str, Any]:
    """Answer a request in a child."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(quiet, number)
        found = json.dumps(answer(engine, request, samples)).encode()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(found)
        os._exit(0)
    os.close(writing)
    pieces = []
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], request["limit_s"])
            if not ready:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return {"stage": "limit", "error": f"no answer in {request['limit_s']} s"}
            piece = pipe.read(1 << 16)
            if not piece:
                break
            pieces.append(piece)
    _, status = os.waitpid(pid, 0)
    if not pieces:
        return {"stage": "crash", "error": f"signal {status & 127}"}
    told: dict[str, Any] = json.loads(b"".join(pieces))
    return told


def main() -> None:
    """Answer requests until there are no more."""
    name, clip = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.addaudithook(refuse_network)
    samples = samples_of(clip)
    engine = ENGINES[name]()
    engine.bring()
    for line in sys.stdin:
        answers.write(json.dumps(in_child(engine, json.loads(line), samples)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
