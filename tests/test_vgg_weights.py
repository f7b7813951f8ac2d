"""Where VGG-19 comes from: the user's file, the kept one, or a download that is verified and converted."""

import builtins
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from perception import random_vgg
from safetensors.numpy import load_file, save_file

pytest.importorskip("tqdm")

from models.training import vgg


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A good file of the user's."""
    return random_vgg(tmp_path_factory.mktemp("given") / "vgg.safetensors")


@pytest.fixture(scope="module")
def original(given, tmp_path_factory):
    """The same weights as Keras stores them: HDF5, kernels HWIO, first layer for BGR."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path_factory.mktemp("keras") / "vgg19.h5"
    tensors = load_file(given)
    with h5py.File(path, "w") as file:
        for name in (name.removesuffix(".weight") for name in tensors if name.endswith(".weight")):
            layer = f"block{name[4]}_conv{name[6]}"
            kernel = tensors[f"{name}.weight"].astype(np.float32).transpose(2, 3, 1, 0)
            file[f"{layer}/{layer}_W_1:0"] = kernel[:, :, ::-1] if name == "conv1_1" else kernel
            file[f"{layer}/{layer}_b_1:0"] = tensors[f"{name}.bias"].astype(np.float32)
    return path.read_bytes()


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Where the download is kept."""
    monkeypatch.setattr(vgg, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "vgg19.safetensors"


@pytest.fixture
def storage(original, monkeypatch):
    """A server that has the file; what it was asked for, in order."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if self.path != "/vgg19.h5":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(original)))
            self.end_headers()
            self.wfile.write(original)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(vgg, "URL", f"http://127.0.0.1:{server.server_address[1]}/vgg19.h5")
        monkeypatch.setattr(vgg, "MD5", hashlib.md5(original).hexdigest())
        yield asked
        server.shutdown()


def test_a_given_file_is_taken_as_it_is(given):
    assert vgg.find_vgg(given) == given


@pytest.mark.parametrize("damage", ["missing", "shape", "none", "other"])
def test_a_given_file_that_is_not_vgg_is_one_clear_line(given, tmp_path, damage):
    path, tensors = tmp_path / "mine.safetensors", load_file(given)
    if damage == "missing":
        del tensors["conv3_4.weight"]
    elif damage == "shape":
        tensors["conv1_1.weight"] = tensors["conv1_1.weight"].transpose(2, 3, 1, 0).copy()
    if damage == "other":
        path.write_bytes(b"not safetensors at all")
    elif damage != "none":
        save_file(tensors, path)
    with pytest.raises(ValueError, match=r"mine\.safetensors") as error:
        vgg.find_vgg(path)
    assert "\n" not in str(error.value)


def test_without_a_file_it_is_downloaded_once_converted_and_kept(given, kept, storage):
    assert vgg.find_vgg(None) == kept
    expected, found = load_file(given), load_file(kept)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == np.float16
        np.testing.assert_array_equal(found[name], value)
    assert vgg.find_vgg(None) == kept
    assert storage == ["/vgg19.h5"]
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_download_with_a_wrong_checksum_is_not_kept(kept, storage, monkeypatch):
    monkeypatch.setattr(vgg, "MD5", "0" * 32)
    with pytest.raises(ValueError, match="--vgg FILE"):
        vgg.find_vgg(None)
    assert list(kept.parent.iterdir()) == []


@pytest.mark.parametrize("where", ["missing", "nowhere"])
def test_without_network_the_user_is_told_what_to_do(kept, storage, monkeypatch, where):
    monkeypatch.setattr(vgg, "URL", vgg.URL + "x" if where == "missing" else "http://127.0.0.1:9/vgg19.h5")
    with pytest.raises(ValueError, match=r"cannot be downloaded .*--vgg FILE"):
        vgg.find_vgg(None)


def test_without_h5py_nothing_is_downloaded_and_the_user_is_told_what_to_install(kept, storage, monkeypatch):
    real = builtins.__import__

    def without_h5py(name, *arguments, **keywords):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_h5py)
    with pytest.raises(ValueError, match=r"pip install h5py.*--vgg FILE"):
        vgg.find_vgg(None)
    assert storage == []


def test_a_damaged_kept_file_is_said_to_be_deleted(kept):
    kept.parent.mkdir()
    kept.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="delete it"):
        vgg.find_vgg(None)
