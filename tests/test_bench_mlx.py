"""`bench` with MLX's engines on a CPU, in an environment of their own, without torch."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import benches, environments, speech
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

_RANDOM_PARAKEET = """
import json, sys
import mlx.core as mx
from mlx.utils import tree_flatten
from parakeet_mlx.utils import from_config

config = json.loads(sys.argv[2])
mx.random.seed(3)
weights = dict(tree_flatten(from_config(config).parameters()))
mx.save_safetensors(sys.argv[1] + "/model.safetensors", weights)
with open(sys.argv[1] + "/config.json", "w") as file:
    json.dump(config, file)
"""
_PARAKEET = """
{"target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel",
 "model_defaults": {"tdt_durations": [0, 1, 2, 3, 4]},
 "preprocessor": {"sample_rate": 16000, "normalize": "per_feature", "window_size": 0.025,
  "window_stride": 0.01, "window": "hann", "features": 80, "n_fft": 512, "dither": 1e-05},
 "encoder": {"feat_in": 80, "n_layers": 1, "d_model": 32, "n_heads": 2,
  "ff_expansion_factor": 2, "subsampling_factor": 8, "self_attention_model": "rel_pos",
  "subsampling": "dw_striding", "conv_kernel_size": 9, "subsampling_conv_channels": 16,
  "pos_emb_max_len": 5000},
 "decoder": {"blank_as_pad": true, "vocab_size": 4,
  "prednet": {"pred_hidden": 16, "pred_rnn_layers": 1}},
 "joint": {"num_classes": 4, "vocabulary": ["so", "it", "a", "e"], "num_extra_outputs": 5,
  "jointnet": {"joint_hidden": 16, "activation": "relu", "encoder_hidden": 32,
   "pred_hidden": 16}},
 "decoding": {"model_type": "tdt", "durations": [0, 1, 2, 3, 4], "greedy": {"max_symbols": 10}}}
"""


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ["mlx-whisper", "lightning-whisper-mlx"])
def test_whisper_on_mlx_gets_the_words_right(home: Path, engine: str) -> None:
    """The same tensors as two kinds of file, and the right words from both."""
    python = environments.mlx()
    place = benches.ENGINES[engine](home)
    ended = cachedoctor(
        *("bench", "--engine", engine, *place.question, "--json", "--runs", "1", "--warmup", "0"),
        *("--audio", str(speech.CLIP), "--language", "en", "--python", f"{engine}={python}"),
        *("--project", str(home / "project" if (home / "project").is_dir() else home)),
    )
    found = ended.data["bench"]
    assert (ended.code, found["left_out"]) == (0, []), ended.output
    (row,) = found["rows"]
    assert speech.words(row["text"]) == speech.words(speech.TRANSCRIPT)
    assert row["settings"]["precision"] == "float32"
    assert row["versions"]["mlx"] == "0.32.4"


@pytest.mark.heavy
def test_a_parakeet_that_learned_nothing(home: Path, tmp_path: Path) -> None:
    """Random weights of the true format: measured, but no row where its words are known wrong."""
    python = environments.mlx()
    made = tmp_path / "made"
    made.mkdir()
    subprocess.run([python, "-c", _RANDOM_PARAKEET, made, _PARAKEET], check=True)
    benches.repository(
        home, "mlx-community/parakeet-tdt-0.6b-v3", {path.name: path for path in made.iterdir()}
    )
    alone = tmp_path / "alone.wav"
    shutil.copyfile(speech.CLIP, alone)
    asked = ["bench", "--engine", "parakeet-mlx", "--size", "tiny", "--json", "--runs", "1"]
    asked += ["--python", f"parakeet-mlx={python}"]
    unknown = cachedoctor(*asked, "--audio", str(alone)).data["bench"]
    assert [row["word_error_rate"] for row in unknown["rows"]] == [None], unknown["left_out"]
    known = cachedoctor(*asked, "--audio", str(speech.CLIP))
    (left,) = known.data["bench"]["left_out"]
    assert known.code == 1
    assert left["why"].startswith("its transcript is wrong: ")
    assert left["cure"] == f"cachedoctor verify parakeet-mlx --fresh --python parakeet-mlx={python}"
    assert left["text"]
