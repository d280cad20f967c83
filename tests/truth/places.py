"""What states are built from: homes with real weights, links and files, and changes to them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support import environments, weights, worlds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Content = Path | bytes
    Change = Callable[[bytes], bytes]

OTHER = "0badc0de" * 5
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 75537502\n" % (
    b"1a" * 32
)


def flipped(data: bytes) -> bytes:
    """Invert 4 KiB in the middle, or one byte of a smaller file."""
    middle = len(data) // 2
    piece = slice(middle, middle + (4096 if len(data) > 1 << 20 else 1))
    return data[: piece.start] + bytes(b ^ 0xFF for b in data[piece]) + data[piece.stop :]


CHANGES: Mapping[str, Change] = {
    "empty": lambda _: b"",
    "a page": lambda _: PAGE,
    "a pointer": lambda _: POINTER,
    "cut in half": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "flipped": flipped,
    "with eight bytes more": lambda data: data + b"\x01" * 8,
    "with a hundred bytes more": lambda data: data + b"\x01" * 100,
}
JSON_CHANGES: Mapping[str, Change] = {
    "an empty object": lambda _: b"{}",
    "an empty list": lambda _: b"[]",
    "null": lambda _: b"null",
    "behind a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "with a comma too many": lambda data: data.rstrip()[:-1] + b",}",
}


class Place(NamedTuple):
    """One home in which to build a state."""

    home: Path

    @property
    def hub(self) -> Path:
        """Return its usual hub cache."""
        return worlds.hub_of(self.home)

    @property
    def cwd(self) -> Path:
        """Return the folder in which everything is started."""
        return self.home / "work"

    def begin(self) -> None:
        """Start with nothing."""
        for folder in (self.home, Path(f"{self.home}.state"), Path(f"{self.home}.config")):
            if folder.is_symlink() or folder.exists():
                subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False)
                shutil.rmtree(folder)
        self.cwd.mkdir(parents=True)

    def put(self, path: Path, content: Content) -> Path:
        """Put a file: real weights as a hard link."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
            return path
        try:
            os.link(content, path)
        except OSError:
            shutil.copyfile(content, path)
        return path

    def folder(self, path: Path, files: Mapping[str, Content]) -> Path:
        """Put a folder of files."""
        for name, content in files.items():
            self.put(path / name, content)
        return path

    def repository(
        self,
        name: str,
        files: Mapping[str, Content],
        *,
        commit: str = worlds.COMMIT,
        ref: str | None = "main",
        trees: bool = True,
        hub: Path | None = None,
        listed: Mapping[str, Content] | None = None,
    ) -> Path:
        """Put one revision of a repository as the client does; return its snapshot.

        `listed` is only in the manifest.
        """
        folder = (hub or self.hub) / f"models--{name.replace('/', '--')}"
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True, exist_ok=True)
        tree = {}
        for file, content in {**files, **(listed or {})}.items():
            blob, row = _named(file, content)
            tree[file] = row
            if file in files:
                if not (folder / "blobs" / blob).exists():
                    self.put(folder / "blobs" / blob, content)
                link = snapshot / file
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.relpath(folder / "blobs" / blob, link.parent))
        if trees:
            text = json.dumps({"format_version": 1, "files": tree})
            self.put(folder / "trees" / f"{commit}.json", text.encode())
        if ref:
            self.put(folder / "refs" / ref, commit.encode())
        return snapshot


@functools.cache
def _named_path(file: str, path: Path) -> tuple[str, dict[str, object]]:
    return _row(file, path.read_bytes())


def _named(file: str, content: Content) -> tuple[str, dict[str, object]]:
    """Return the name of a file's blob and its row in a manifest."""
    return _row(file, content) if isinstance(content, bytes) else _named_path(file, content)


def _row(file: str, data: bytes) -> tuple[str, dict[str, object]]:
    name = worlds.etag(file if not file.endswith(".npz") else "x.bin", data)
    row: dict[str, object] = {"size": len(data), "blob_id": worlds.git_sha1(data)}
    if len(name) == 64:
        row |= {"lfs_sha256": name, "lfs_size": len(data)}
    return name, row


def blob(path: Path) -> Path:
    """Return the physical file."""
    return Path(os.path.realpath(path))


def change(path: Path, how: Change) -> None:
    """Put a changed copy in place of a physical file; a link to it stays."""
    real = blob(path)
    data = how(real.read_bytes())
    real.unlink()
    real.write_bytes(data)


# -- files of each engine


def faster_whisper() -> dict[str, Content]:
    """Return Systran's four files of tiny.en."""
    folder = weights.require(weights.faster_whisper_tiny_en)
    return {path.name: path for path in sorted(folder.iterdir())}


def faster_whisper_128() -> dict[str, Content]:
    """Return a model that wants 128 mel bins, which no weights of this size have: 48 are zeros."""
    files = dict(faster_whisper())
    made = weights.CACHE / "truth-mel128.bin"
    if not made.exists():
        made.write_bytes(_with_128_bins(Path(str(files["model.bin"])).read_bytes()))
    config = b'{"chunk_length": 30, "feature_size": 128, "hop_length": 160, "n_fft": 400}'
    return {**files, "model.bin": made, "preprocessor_config.json": config}


def _with_128_bins(data: bytes) -> bytes:
    name = b"encoder/conv1/weight\0"
    at = data.index(struct.pack("<H", len(name)) + name) + 2 + len(name)
    rank = data[at]
    shape = struct.unpack_from(f"<{rank}I", data, at + 1)
    head = at + 1 + 4 * rank
    kind, count = struct.unpack_from("<BI", data, head)
    begin = head + 5
    out, bins, width = shape
    row = bins * width * 2
    rows = [data[begin + n * row : begin + (n + 1) * row] for n in range(out)]
    wide = b"".join(one + bytes((128 - bins) * width * 2) for one in rows)
    made = struct.pack(f"<B{rank}I", rank, out, 128, width) + struct.pack("<BI", kind, len(wide))
    return data[:at] + made + wide + data[begin + count :]


def mlx(*names: str) -> dict[str, Content]:
    """Return tiny.en as MLX reads it, with weights of these names beside the configuration."""
    folder = weights.require(weights.mlx_tiny_en)
    return {name: folder / name for name in ("config.json", *names)}


def parakeet() -> dict[str, Content]:
    """Return a Parakeet in the real format that has learned nothing."""
    from tests.test_bench_mlx import _PARAKEET, _RANDOM_PARAKEET

    made = weights.CACHE / "truth-parakeet"
    if not (made / "config.json").exists():
        made.mkdir(parents=True, exist_ok=True)
        python = environments.mlx()
        command = [str(python), "-c", _RANDOM_PARAKEET, str(made), _PARAKEET]
        subprocess.run(command, check=True, env=weights.ENVIRONMENT)
    return {name: made / name for name in ("config.json", "model.safetensors")}


CONFIG = {
    "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"],
    "vocab_size": 51864, "num_mel_bins": 80, "d_model": 384, "encoder_layers": 4,
    "encoder_attention_heads": 6, "decoder_layers": 4, "decoder_attention_heads": 6,
    "encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536, "num_hidden_layers": 4,
    "max_source_positions": 1500, "max_target_positions": 448, "activation_function": "gelu",
    "pad_token_id": 50256, "bos_token_id": 50256, "eos_token_id": 50256,
    "decoder_start_token_id": 50257, "scale_embedding": False, "use_cache": True,
}  # fmt: skip
GENERATION = {
    "decoder_start_token_id": 50257, "bos_token_id": 50256, "eos_token_id": 50256,
    "pad_token_id": 50256, "no_timestamps_token_id": 50362, "max_initial_timestamp_index": 1,
    "is_multilingual": False, "return_timestamps": False, "max_length": 448,
    "forced_decoder_ids": [[1, 50362]], "suppress_tokens": [],
    "begin_suppress_tokens": [220, 50256],
    "alignment_heads": [[1, 0], [2, 0], [2, 5], [3, 0], [3, 1], [3, 2], [3, 3], [3, 4]],
    "prev_sot_token_id": 50360,
}  # fmt: skip
EXTRACTOR = {
    "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor",
    "feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "chunk_length": 30,
    "n_fft": 400, "padding_value": 0.0, "padding_side": "right", "return_attention_mask": False,
    "n_samples": 480000, "nb_max_frames": 3000,
}  # fmt: skip


def transformers(*, large: bool = True) -> dict[str, Content]:
    """Return `openai/whisper-tiny.en`: real weights and tokenizer, small files in our own words."""
    tokenizer = Path(str(faster_whisper()["tokenizer.json"]))
    told = json.loads(tokenizer.read_text())
    vocabulary, merges = told["model"]["vocab"], told["model"]["merges"]
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in merges]
    special = [one["content"] for one in told["added_tokens"]]
    settings = {
        "tokenizer_class": "WhisperTokenizer", "model_max_length": 1024, "errors": "replace",
        "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>", "add_prefix_space": False, "processor_class":
        "WhisperProcessor", "additional_special_tokens": special[:1608],
    }  # fmt: skip
    added = {one["content"]: one["id"] for one in told["added_tokens"]}
    plain = {word: number for word, number in vocabulary.items() if word not in added}
    small = {
        "config.json": CONFIG, "generation_config.json": GENERATION,
        "preprocessor_config.json": EXTRACTOR, "tokenizer_config.json": settings,
        "vocab.json": vocabulary if len(vocabulary) > 50256 else {**plain, "<|endoftext|>": 50256},
        "added_tokens.json": added, "normalizer.json": {"colour": "color"},
        "special_tokens_map.json": {"eos_token": "<|endoftext|>"},
    }  # fmt: skip
    files: dict[str, Content] = {name: json.dumps(data).encode() for name, data in small.items()}
    files["tokenizer.json"] = tokenizer
    files["merges.txt"] = ("#version: 0.2\n" + "\n".join(pairs) + "\n").encode()
    if large:
        files["model.safetensors"] = weights.require(weights.safetensors_tiny_en)
    return files


_BIN = """
import sys, torch
from safetensors.torch import load_file
torch.save(load_file(sys.argv[1]), sys.argv[2])
"""


def pytorch_model() -> Path:
    """Return the same weights as `pytorch_model.bin`."""
    made = weights.CACHE / "truth-pytorch_model.bin"
    if not made.exists():
        source = weights.require(weights.safetensors_tiny_en)
        command = [str(environments.torch()), "-c", _BIN, str(source), str(made)]
        subprocess.run(command, check=True, env=weights.ENVIRONMENT)
    return made
