# SPDX-License-Identifier: Apache-2.0
"""Encoders, decoders and pose nets of the published systems: sizes counted by hand, padding, conventions."""

import numpy as np
import pytest
import torch

from recon_core.cameras import orbit, pinhole
from recon_core.errors import CheckpointError
from recon_core.io.weights import save_tensors
from recon_core.mesh import Meshes, icosphere
from recon_core.methods.network import ModelConfig, Network
from recon_core.methods.terms.consistency import angles, crop_to_points
from recon_core.models.encoders import (
    ConvEncoderConfig,
    ResidualBlock,
    ResnetEncoderConfig,
    load_start,
    make_encoder,
)
from recon_core.models.mesh_decoder import MeshPrediction
from recon_core.models.pose import (
    PoseHeads,
    PoseNetConfig,
    align_distance,
    align_points,
    angles_to_matrix,
    rotation_distance,
    to_matrix,
)
from recon_core.models.same_padding import SameConv2d
from recon_core.models.surface import as_points, join_meshes, surface_points
from recon_core.renderers.mesh_shading import sample_texture


def count(module: torch.nn.Module) -> int:
    """Number of weights."""
    return sum(p.numel() for p in module.parameters())


def linear(a: int, b: int) -> int:
    """Weights of a linear layer."""
    return a * b + b


def conv(kernel: int, a: int, b: int) -> int:
    """Weights of a convolution."""
    return kernel * kernel * a * b + b


def model(**settings) -> Network:
    """A network of 16 points by default, 3 parts, no poses."""
    return Network(ModelConfig(**({"points": 16} | settings)), 3, 0)


def test_dpc_has_the_published_size():
    """At 128 px on white: the encoder's convolutions and two layers, the third layer and 3N outputs in the decoder."""
    network = model(encoder="dpc", decoder="dpc", image_size=128, sees="white", width=16, features=1024, hidden=1024,
                    points=8000, heads=("xyz", "occupancy_scale"))  # fmt: skip
    pairs = sum(conv(3, a, 2 * a) + conv(3, 2 * a, 2 * a) for a in (16, 32, 64, 128))
    encoder = conv(5, 3, 16) + pairs + linear(4096, 1024) + linear(1024, 1024)
    assert count(network.encoder) == encoder
    assert count(network.decoder) == linear(1024, 1024) + linear(1024, 24000) + linear(1024, 1)
    points, _ = network(torch.rand(2, 4, 128, 128))
    assert points.xyz.shape == (2, 8000, 3)
    assert float(points.xyz.detach().abs().max()) <= 0.5
    assert 0.07 < float(points.xyz.detach().std()) < 0.3
    torch.testing.assert_close(points.occupancy_scale.detach(), torch.full((2, 1), 0.5), atol=0.4, rtol=0)


def test_capnet_has_the_published_size():
    """7,161,184 weights at 64 px, 1,024 points and RGB input, as counted in its code."""
    network = model(encoder="capnet", decoder="capnet", sees="black", width=32, features=128, hidden=256, points=1024,
                    heads=("xyz",))  # fmt: skip
    assert count(network) == 7_161_184


def test_differ_has_the_published_size():
    """1,866,432 weights of structure and 2,578,880 of colour at 64 px, 1,024 points and RGB input, as counted there."""
    network = model(encoder="differ", decoder="differ", sees="black", width=32, features=128, hidden=128, points=1024,
                    heads=("xyz", "color"))  # fmt: skip
    color = count(network.decoder.branches)
    assert (count(network) - color, color) == (1_866_432, 2_578_880)


def test_resnet18_has_its_11_million_weights_and_takes_a_file(tmp_path):
    """11,176,512 without the classifier; a file of width 64 fits, with or without a mask channel, another does not."""
    encoder = make_encoder(ResnetEncoderConfig(), 64, 64, 256, 3)
    assert count(encoder.trunk) == 11_176_512
    assert encoder(torch.rand(2, 3, 64, 64)).shape == (2, 256)
    path = tmp_path / "resnet18.safetensors"
    weights = dict(encoder.trunk.state_dict()) | {"fc.weight": torch.zeros(3, 512)}
    save_tensors(path, {k: v for k, v in weights.items() if "num_batches" not in k})
    masked = make_encoder(ResnetEncoderConfig(), 64, 64, 256, 4).eval()
    load_start(masked, ResnetEncoderConfig(weights=str(path)))
    images = torch.rand(2, 4, 64, 64)
    other = images.clone()
    other[:, 3] = 0
    torch.testing.assert_close(masked(images), masked(other))  # the mask's weights start at 0
    with pytest.raises(CheckpointError, match="does not fit ResNet-18 of width 16"):
        load_start(
            make_encoder(ResnetEncoderConfig(), 64, 16, 256, 4), ResnetEncoderConfig(weights=str(path))
        )
    with pytest.raises(CheckpointError, match="missing"):
        load_start(masked, ResnetEncoderConfig(weights=str(tmp_path / "none.safetensors")))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (5, 1)])
def test_same_padding_puts_the_odd_pixel_last(kernel, stride):
    """Against a loop over windows that start at -floor(total / 2), total = what TensorFlow pads."""
    layer = SameConv2d(1, 1, kernel, stride).double()
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    before = max((8 // stride - 1) * stride + kernel - 8, 0) // 2
    wide = np.zeros((20, 20))
    wide[6:14, 6:14] = image[0, 0].numpy()
    weight, bias = layer.weight[0, 0].detach().numpy(), float(layer.bias.detach())
    expected = np.empty((8 // stride, 8 // stride))
    for row in range(len(expected)):
        for column in range(len(expected)):
            top, left = 6 - before + row * stride, 6 - before + column * stride
            expected[row, column] = (wide[top : top + kernel, left : left + kernel] * weight).sum() + bias
    np.testing.assert_allclose(layer(image)[0, 0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("sees", "value"), [("white", 1.0), ("black", 0.0), ("grey", 0.5)])
def test_backgrounds_are_what_the_network_is_said_to_see(sees, value):
    """Composed on grey, seen before another background: half transparent red stays half red."""
    seen = []
    network = model(encoder="differ", width=4, features=16, hidden=16, sees=sees)
    network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = torch.zeros(1, 4, 64, 64)
    images[:, :3] = 0.5
    images[0, :, 10, 10] = torch.tensor([0.5 * 1 + 0.5 * 0.5, 0.5 * 0.5, 0.5 * 0.5, 0.5])
    network(images)
    assert seen[0].shape == (1, 3, 64, 64)
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.full((3,), value))
    torch.testing.assert_close(seen[0][0, :, 10, 10], torch.tensor([0.5, 0.0, 0.0]) + 0.5 * value)


def test_pose_features_come_from_an_encoder_of_their_own(generator):
    """With a pose encoder the shape does not see its features, nor the pose the shape's."""
    config = ModelConfig(encoder="differ", pose_encoder="differ", width=4, features=16, hidden=16, points=16)
    network = Network(config, 0, 1, "azimuth_elevation", PoseNetConfig(branches="linear"))
    features = network.encode(torch.rand(2, 4, 64, 64, generator=generator))
    assert features.shape == (2, 32)
    other = features.clone()
    other[:, :16] += 1
    torch.testing.assert_close(network.pose(other), network.pose(features))
    other = features.clone()
    other[:, 16:] += 1
    images = torch.zeros(2, 4, 64, 64)
    torch.testing.assert_close(network.decode(other, images).xyz, network.decode(features, images).xyz)
    images = torch.rand(2, 4, 64, 64, generator=generator)
    points, rotation = network(images)
    torch.testing.assert_close(network.shape_of(images).xyz, points.xyz)
    torch.testing.assert_close(network.pose_of(images), rotation)


def test_dpc_pose_net_has_the_published_size():
    """Four branches and a student of 33,988 weights each behind a code of 1024; one hypothesis is a single layer."""
    heads = PoseHeads(1024, 4, "quaternion", config=PoseNetConfig(branches="dpc"))
    assert count(heads) == linear(1024, 1024) + 5 * 33_988
    alone = PoseHeads(1024, 1, "quaternion", config=PoseNetConfig(branches="dpc"))
    assert count(alone) == linear(1024, 1024) + linear(1024, 4)
    assert alone.student is None


def test_azimuth_and_elevation_are_those_of_orbit():
    """angles_to_matrix is orbit's rotation, and angles its inverse, through the full turn."""
    azimuth, elevation = (
        torch.tensor([-170.0, -30.0, 0.0, 75.0, 179.0]),
        torch.tensor([-80.0, -20.0, 0.0, 40.0, 85.0]),
    )
    rad = torch.deg2rad(torch.stack((azimuth, elevation), -1))
    torch.testing.assert_close(angles_to_matrix(rad), orbit(azimuth, elevation)[:, :3, :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(angles(angles_to_matrix(rad)), rad, atol=1e-5, rtol=0)
    numbers = torch.cat(
        (2.5 * torch.stack((rad[:, 0].cos(), rad[:, 0].sin()), 1), torch.atanh(elevation[:, None] / 90)), 1
    )
    torch.testing.assert_close(
        to_matrix(numbers, "upright"), orbit(azimuth, elevation)[:, :3, :3], atol=1e-5, rtol=0
    )
    over = torch.tensor([[0.3, 2.0]])  # beyond the pole, where orbit would turn the camera round
    torch.testing.assert_close(angles(angles_to_matrix(over)), over)


def test_align_distance_is_the_mean_over_its_points(generator):
    """Against the points themselves; close to 8 times the other student loss."""
    random = torch.linalg.qr(torch.randn(2, 5, 3, 3, generator=generator)).Q
    random = random * torch.linalg.det(random)[..., None, None]
    points = align_points()
    apart = torch.einsum("bij,nj->bni", random[0] - random[1], points)
    expected = apart.square().sum(-1).mean(1)
    torch.testing.assert_close(align_distance(random[0], random[1]), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(expected, 8 * rotation_distance(random[0], random[1]), rtol=0.12, atol=0)


def test_lens_and_shift_are_learnt_within_their_limits(generator):
    """Focal lengths in their range, shifts below theirs; the shift moves what the camera sees."""
    config = PoseNetConfig(branches="dpc", translation=0.15, focal_widths=(1.5, 2.5))
    heads = PoseHeads(16, 4, "quaternion", config=config)
    features = torch.randn(50, 16, generator=generator) * 100
    focal, shift = heads.focal_widths(features), heads.translation(features)
    found = focal.detach()
    assert focal.shape == (50,)
    assert shift.shape == (50, 3)
    assert 1.5 <= float(found.min()) <= float(found.max()) <= 2.5
    assert float(shift.detach().abs().max()) <= 0.15
    (focal.sum() + shift.sum()).backward()
    assert bool(heads.lens.weight.grad.any())
    assert bool(heads.shift.weight.grad.any())
    assert PoseHeads(16, 4, "quaternion").translation(features) is None


def test_surface_points_lie_on_the_mesh_evenly_and_carry_its_colour(generator):
    """On a sphere: radius, mean, share per octant; vertex colours that are positions come back as positions."""
    sphere = icosphere(3, 0.4)
    meshes = Meshes(sphere.vertices, sphere.faces, sphere.vertices + 0.5)
    points = surface_points(meshes, 4000, generator)
    radius = points.xyz.norm(dim=-1)
    assert 0.39 < float(radius.min()) <= float(radius.max()) <= 0.4001
    octant = ((points.xyz[0] > 0).long() * torch.tensor([1, 2, 4])).sum(-1)
    assert float((torch.bincount(octant, minlength=8) / 4000 - 0.125).abs().max()) < 0.025
    torch.testing.assert_close(points.color, points.xyz + 0.5)


def test_surface_points_look_up_the_texture(generator):
    """A texture that is red in the upper half: the upper half of the sphere is red."""
    sphere = icosphere(3, 0.5)
    texture = torch.zeros(1, 32, 32, 3)
    texture[:, :16, :, 0] = 1.0
    meshes = Meshes(sphere.vertices, sphere.faces, None, sphere.uv, sphere.uv_faces, texture)
    points = surface_points(meshes, 500, generator)
    height = points.xyz[0, :, 2]  # textures wrap at the poles
    assert float(points.color[0, (height > 0.1) & (height < 0.45), 0].min()) > 0.99
    assert float(points.color[0, (height < -0.1) & (height > -0.45), 0].max()) < 0.01
    assert sample_texture(texture, torch.tensor([[[[0.5, 0.9]]]]))[0, 0, 0, 0] == 1


def test_a_mesh_becomes_the_same_points_every_time():
    """as_points is repeatable, gives points as they are, and joined batches keep their order."""
    sphere = icosphere(1)
    prediction = MeshPrediction(sphere, torch.zeros_like(sphere.vertices), None)
    first = as_points(prediction, 50)
    torch.testing.assert_close(first.xyz, as_points(prediction, 50).xyz, rtol=0, atol=0)
    assert as_points(first, 7) is first
    moved = sphere.with_vertices(sphere.vertices + 1)
    joined = join_meshes([sphere, moved])
    torch.testing.assert_close(joined.vertices[1], moved.vertices[0])
    empty = Meshes(torch.zeros(1, 3, 3), torch.tensor([[0, 1, 2]]))
    assert float(surface_points(empty, 4, torch.Generator()).xyz.abs().max()) == 0


def test_crops_around_points_frame_them(generator):
    """The points' box fills 1 / margin of the image's longer side, in the middle."""
    xyz = torch.rand(3, 40, 3, generator=generator) - 0.5
    cameras = pinhole(orbit(torch.tensor([0.0, 50.0, 190.0]), torch.tensor([10.0, -5.0, 30.0])), 96)
    uv_px, _ = crop_to_points(xyz, cameras, 64, 1.25).project(xyz)
    low, high = uv_px.amin(1), uv_px.amax(1)
    torch.testing.assert_close((high - low).amax(-1), torch.full((3,), 64 / 1.25), atol=1e-3, rtol=0)
    torch.testing.assert_close((high + low) / 2, torch.full((3, 2), 32.0), atol=1e-3, rtol=0)


def test_paired_points_mirror_each_other(generator):
    """Of 20 points, 0.6 in pairs: six with a twin at -x and of the same opacity, at the end; eight are free."""
    network = model(points=20, decoder={"kind": "points", "pairs": 0.6}, heads=["xyz", "opacity"])
    for parameter in network.decoder.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    features, images = torch.randn(3, 512, generator=generator), torch.rand(3, 4, 64, 64, generator=generator)
    points = network.decoder(features, images)
    assert points.xyz.shape == (3, 20, 3)
    torch.testing.assert_close(points.xyz[:, 14:], points.xyz[:, :6] * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(points.opacity[:, 14:], points.opacity[:, :6])
    assert network.decoder.heads["xyz"].out_features == 14 * 3


def test_attributes_of_a_field_differ_between_twins(generator):
    """Colours and parts are asked for at each twin's own place: what is painted on one side is not on the other."""
    network = model(decoder={"kind": "points", "pairs": 1.0, "attributes": "field"}, heads=["xyz", "parts"])
    points = network.decoder(torch.randn(2, 512, generator=generator), torch.rand(2, 4, 64, 64))
    assert points.part_logits.shape == (2, 16, 3)
    assert (points.part_logits[:, :8] - points.part_logits[:, 8:]).abs().max() > 1e-4


def test_residual_blocks_start_as_nothing_and_are_counted(generator):
    """After the second and third of four halvings: two convolutions and norms each; at first only their bias shows."""
    plain, deep = (make_encoder(ConvEncoderConfig(blocks=blocks), 64, 8, 32) for blocks in (0, 2))
    assert count(deep) - count(plain) == 2 * sum(2 * (conv(3, c, c) + 2 * c) for c in (16, 32))
    block = ResidualBlock(16)
    maps = torch.randn(2, 16, 8, 8, generator=generator)
    bias = block.layers[-1].bias[:, None, None]
    torch.testing.assert_close(block(maps), maps + bias)
    assert deep(torch.rand(2, 4, 64, 64, generator=generator)).shape == (2, 32)
