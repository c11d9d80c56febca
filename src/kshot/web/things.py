"""Examples of a request, as the things that preprocessings and encoders read; refused before anything is decoded if they are too large.

In: `Example`s of the wire format. Out: bytes of pictures, texts, or rows. Next: `kshot.web.sources`.
"""

import base64
import binascii
import io

from PIL import Image, UnidentifiedImageError

from kshot.data.pictures.picture_file import DAMAGE, open_image, quiet
from kshot.web.limits import Limits
from kshot.web.problems import Problem, wrong
from kshot.web.wire import Example

Thing = bytes | str | list[float] | dict[str, float | str | None]
"""The file of a picture; a text; a row."""


class SlowError(Exception):
    """A picture takes long to be read."""


def thing_of(example: Example, field: str, limits: Limits, *, pixels: int | None = None) -> Thing:
    """Return the thing of an example.

    Args:
        example: The example.
        field: Its place in the request, for messages.
        limits: How large it may be.
        pixels: How many pixels a picture may have for `SlowError` not to be raised; None: any number within the limits.

    Raises:
        Problem: It is no picture, or is too large.
        SlowError: It is a picture of more pixels.
    """
    if example.image is not None:
        return _picture(example.image, f"{field}.image", limits, pixels)
    if example.text is not None:
        if not example.text.strip():
            raise wrong(f"{field}.text", "a text that is not empty", example.text)
        if len(example.text) > limits.text_characters:
            raise wrong(f"{field}.text", f"a text of at most {limits.text_characters:,} characters", f"{len(example.text):,} characters")
        return example.text
    assert example.numbers is not None
    if not 1 <= len(example.numbers) <= limits.numbers:
        raise wrong(f"{field}.numbers", f"1 to {limits.numbers:,} numbers", f"{len(example.numbers):,}")
    return example.numbers


def kind_of(thing: Thing) -> str:
    """Name what a thing is, as an example of the wire format names it."""
    return "image" if isinstance(thing, bytes) else "text" if isinstance(thing, str) else "numbers"


def _picture(given: str | bytes, field: str, limits: Limits, most: int | None) -> bytes:
    if isinstance(given, str):
        try:
            data = base64.b64decode(given.partition(",")[2] if given.startswith("data:") else given, validate=True)
        except (binascii.Error, ValueError) as error:
            raise wrong(field, "the file of a picture in base64", f"text that is no base64 ({error})") from None
    else:
        data = given
    if not data:
        raise wrong(field, "the file of a picture", "no bytes")
    try:
        with quiet, open_image(io.BytesIO(data)) as image:
            pixels = image.width * image.height
    except UnidentifiedImageError:
        raise wrong(field, "a picture in a known format, such as PNG, JPEG or WebP", f"{len(data):,} bytes of something else") from None
    except (Image.DecompressionBombError, *DAMAGE) as error:
        raise wrong(field, "a picture", f"a damaged one, or one of unreasonable size ({error})") from None
    if pixels > limits.picture_pixels:
        raise Problem(
            413,
            f"{field} must have at most {limits.picture_pixels:,} pixels; found {pixels:,}. Make it smaller.",
            field=field,
            expected=f"at most {limits.picture_pixels:,} pixels",
            found=f"{pixels:,} pixels",
        )
    if most is not None and pixels > most:
        raise SlowError
    return data
