"""Backbones whose weights already lie on this machine: what torchvision or timm have loaded before.

Nothing is downloaded, a library is imported only where it is installed, and files are read as tensors alone:
no code in them is ever run. A model that metalab saves carries the weights along, as safetensors; the library
is needed to read it again, for the network's architecture.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import re
import threading
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse
from weakref import WeakKeyDictionary

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from metalab.backbones.base import Normalisation
from metalab.backbones.frozen import Frozen
from metalab.errors import CheckpointError

PREFIX = "local:"
"""Begins the names that a user gives: ``local:resnet18``, ``local:timm/resnet18.a1_in1k``."""
SIZE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, as torchvision and most of timm were trained."""


class Local(Frozen):
    """A frozen network of torchvision (``network`` "resnet18") or timm ("timm/resnet18.a1_in1k").

    Its features are what the network's last linear layer takes. Raises :class:`CheckpointError` where the
    library is missing or has no such network.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int | None = None,
        width: int = 64,
        normalisation: Normalisation = "running",
        network: str = "",
    ) -> None:
        if channels != 3:
            raise TypeError("local networks take 3 channels")
        skeleton, features = _architecture(network)
        stated = getattr(skeleton, "default_cfg", {})  # timm says how a network was trained
        size = size or stated.get("input_size", (3, SIZE, SIZE))[-1]
        super().__init__(channels, size, width, normalisation)
        self.network = network
        held = {**dict(skeleton.named_parameters()), **dict(skeleton.named_buffers())}
        self._names = {f"frozen_{name.replace('.', '/')}": name for name in held}
        for key, name in self._names.items():
            self.register_buffer(key, held[name].detach().clone())
        # Outside the modules, without memory of its own: the tensors above stand in at each call.
        self.__dict__["_skeleton"] = skeleton.to("meta").eval().requires_grad_(False)
        self.input_mean.copy_(torch.tensor(stated.get("mean", MEAN)))
        self.input_std.copy_(torch.tensor(stated.get("std", DEVIATION)))
        self._add_adapter(features)

    def shape(self) -> dict[str, Any]:
        """See :meth:`Backbone.shape`."""
        return {**super().shape(), "network": self.network}

    def embed(self, x: Tensor) -> Tensor:
        """Return the frozen network's raw features (n, feature_dim) of images (n, 3, size, size)."""
        tensors = {name: getattr(self, key) for key, name in self._names.items()}
        return _filled(self._skeleton, tensors)(self.standardise(x))

    def _root(self, raw: Tensor) -> Tensor:
        return raw.sign() * (raw.abs() + 1e-6).sqrt()  # not every network ends with a ReLU

    @property
    def fingerprint(self) -> bytes:
        """See :class:`Frozen`."""
        first = getattr(self, next(iter(self._names)))
        return self.network.encode() + first.detach().flatten()[:2048].cpu().numpy().tobytes()

    def restore_frozen(self) -> Local:
        """Take the weights that lie on this machine; raises :class:`CheckpointError`."""
        path = local_weights().get(self.network)
        if path is None:
            raise _absent(self.network)
        try:
            if path.suffix == ".safetensors":
                held = load_file(path)
            else:  # weights_only: tensors alone are read
                held = torch.load(path, weights_only=True, map_location="cpu")
            held = {f"frozen_{name.replace('.', '/')}": tensor for name, tensor in held.items()}
            # Counters of batches are in no old file, and nothing reads them.
            kept = {name for name in self._skeleton.state_dict() if not name.endswith("num_batches_tracked")}
            needed = {key for key, name in self._names.items() if name in kept}
            if missing := sorted(needed - held.keys()):
                raise KeyError(missing[0])
            self.load_state_dict({key: held[key] for key in needed}, strict=False)
        except Exception as error:  # a damaged or foreign file makes torch raise almost anything
            raise CheckpointError(
                f"these are no weights of {self.network!r} ({type(error).__name__})",
                where=path,
                fix="Let the library load it again",
            ) from None
        return self


_COPIES = threading.local()


def _filled(skeleton: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """Return a copy of ``skeleton`` for this thread alone that shares ``tensors``.

    Not torch.func.functional_call, which can neither be exported nor be used by two threads at once.
    """
    if not hasattr(_COPIES, "held"):
        _COPIES.held = WeakKeyDictionary()
    if skeleton not in _COPIES.held:
        _COPIES.held[skeleton] = copy.deepcopy(skeleton)  # without tensors it costs no memory
    network, weights = _COPIES.held[skeleton], {name for name, _ in skeleton.named_parameters()}
    for name, tensor in tensors.items():
        owner, _, attribute = name.rpartition(".")
        held = nn.Parameter(tensor, requires_grad=False) if name in weights else tensor
        setattr(network.get_submodule(owner), attribute, held)
    return network


def local_weights() -> dict[str, Path]:
    """Return the networks whose weights lie on this machine, and where; nothing is downloaded.

    torchvision's files in ``torch.hub``'s folder, and timm's in the cache of the Hugging Face hub.
    """
    found: dict[str, Path] = {}
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    files = {path.name: path for path in sorted(folder.glob("*.pth"))}
    if files and (library := _installed("torchvision")):  # importing it takes seconds
        for name in library.models.list_models(module=library.models):
            for weights in library.models.get_model_weights(name):
                if path := files.get(Path(urlparse(weights.url).path).name):
                    found[name] = path
    home = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    kept = {
        f"timm/{path.parents[2].name.removeprefix('models--timm--')}": path
        for kind in ("pytorch_model.bin", "model.safetensors")  # the safer one last: it counts
        for path in sorted(cache.glob(f"models--timm--*/snapshots/*/{kind}"))
    }
    return found | kept if kept and _installed("timm") else found


def local_backbone(name: str) -> Local:
    """Return the network ``name`` (see :data:`PREFIX`, which it may begin with) with its weights.

    Raises :class:`CheckpointError`, which lists what there is.
    """
    network = name.removeprefix(PREFIX)
    if network not in local_weights():
        raise _absent(network)
    backbone = Local(network=network).restore_frozen().eval()
    try:
        fits = backbone.record(torch.zeros(1, 3, backbone.size, backbone.size)).isfinite().all()
    except (RuntimeError, AssertionError, ValueError, TypeError):
        fits = False
    if not fits:
        raise CheckpointError(
            f"takes no images of {backbone.size} pixels",
            where=f"{PREFIX}{network}",
            fix="Use another network",
        )
    return backbone


def _absent(network: str) -> CheckpointError:
    there = ", ".join(PREFIX + name for name in sorted(local_weights())) or "none"
    return CheckpointError(
        f"no weights of {network!r} lie on this machine",
        where=f"{PREFIX}{network}",
        fix=f"There are: {there}. Let torchvision or timm load others first: metalab downloads nothing",
    )


def _installed(library: str) -> ModuleType | None:
    """Return the library, None where it is missing or does not fit the torch that is installed."""
    if importlib.util.find_spec(library) is None:
        return None
    try:
        return importlib.import_module(library)
    except Exception:  # built for another torch, it raises RuntimeError or OSError
        return None


def _architecture(network: str) -> tuple[nn.Module, int]:
    """Return ``network``, untrained and without its last linear layer, and the number of its features."""
    package, _, name = network.rpartition("/")
    library = _installed(package or "torchvision")
    if package not in ("", "timm") or library is None:
        package = package or "torchvision"
        raise CheckpointError(
            "stands on a library that is missing, or does not fit torch",
            where=f"{PREFIX}{network}",
            fix=f"pip install {package}",
        )
    try:
        if package:
            # A name alone: timm's prefixes such as hf-hub: would download.
            if not re.fullmatch(r"[\w.]+", name):
                raise ValueError(name)
            module = library.create_model(name, pretrained=False)
        else:
            module = library.models.get_model(name, weights=None)
        last, layer = [item for item in module.named_modules() if isinstance(item[1], nn.Linear)][-1]
    except Exception as error:  # each library has errors of its own for a name that it does not know
        raise CheckpointError(
            f"no image network with a linear head ({type(error).__name__})",
            where=f"{PREFIX}{network}",
            fix="Use another one",
        ) from None
    owner, _, attribute = last.rpartition(".")
    setattr(module.get_submodule(owner), attribute, nn.Identity())
    return module, layer.in_features
