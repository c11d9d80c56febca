"""Models of timm as encoders of photographs: `timm:NAME`, for example `timm:mobilenetv3_small_100`.

timm brings torchvision, which must fit the installed PyTorch; kshot installs neither. The graph of a model is written once for each version
of timm. In: a name. Out: a `PhotographEncoder`. Next: `kshot.encoders.table`.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kshot.encoders.encoder import Provenance, fingerprint_of
from kshot.encoders.encoder_folder import kept_folder
from kshot.encoders.onnx_export import quiet
from kshot.encoders.photograph_encoder import PhotographEncoder, read_photograph_encoder
from kshot.encoders.photograph_export import VERSION, network_files
from kshot.errors import RecipeError, SetupError
from kshot.printable import printable

TIMM = "timm:"


def open_timm_model(name: str, device: str = "cpu") -> PhotographEncoder:
    """Open a model of timm with its published weights.

    Args:
        name: `timm:` and timm's name of the model.
        device: Where the network computes.

    Raises:
        SetupError: timm is not installed, does not load, or cannot fetch the weights.
        RecipeError: timm knows no such model, or it cannot be written as an ONNX file.
    """
    try:
        of = version("timm")
    except PackageNotFoundError as error:
        raise SetupError(f"the encoder {name!r} needs timm, which is not installed. Install it with: pip install timm") from error
    fingerprint = fingerprint_of("timm", VERSION, of, name)

    def made() -> dict[str, bytes]:
        model, size, mean, deviation, licence = _loaded(name)
        provenance = Provenance(licence, f"{name} of timm {of}", "timm")
        return network_files(model, name, size, mean, deviation, provenance, fingerprint)

    folder, temporary = kept_folder(fingerprint, made)
    return read_photograph_encoder(folder, device, held=temporary)


def _loaded(name: str) -> tuple[Any, int, tuple[float, ...], tuple[float, ...], str]:
    """Return a model without its classifier, and the size, mean and deviation of its pictures, and its licence."""
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision raises a RuntimeError beside a PyTorch that it was not built for
        raise SetupError(
            f"timm does not load: {_reason(error)} It needs a torchvision that fits the installed PyTorch; see the encoders' page."
        ) from error
    wanted = name.removeprefix(TIMM)
    if not timm.is_model(wanted):
        raise RecipeError(f"timm knows no model {printable(wanted)!r}. List its models with timm.list_models(pretrained=True).")
    try:
        with quiet():
            model = timm.create_model(wanted, pretrained=True, num_classes=0)
            about = timm.data.resolve_model_data_config(model)
    except (OSError, RuntimeError, ValueError) as error:
        raise SetupError(f"timm cannot make {printable(wanted)!r} with its weights: {_reason(error)} Check the network.") from error
    licence = str(getattr(model, "pretrained_cfg", {}).get("license", "") or "unknown")
    return model, int(about["input_size"][-1]), tuple(about["mean"]), tuple(about["std"]), licence


def _reason(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0])
