"""multipart/form-data, of which one file is wanted: the pipeline's package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cairn.api.http import Call
from cairn.errors import InputRefused

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

UPLOAD_LIMIT = 33 * 1024 * 1024  # bytes: a pipeline of the largest size, and what is around it
MAX_PARTS = 16


class _Parts:
    """Collects the first part that is a file."""

    def __init__(self) -> None:
        self.file: bytearray | None = None
        self.name = ""
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._count = 0
        self._taken = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._body,
            "on_part_data": self._data,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_PARTS:
            raise InputRefused(f"the form has more than {MAX_PARTS} parts")
        self._headers, self._taken = {}, False

    def _header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _body(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        wanted = options.get(b"name") == b"uploadfile" or b"filename" in options
        if wanted and self.file is None:
            self.file, self._taken = bytearray(), True
            self.name = options.get(b"filename", b"upload").decode("utf-8", "replace")[:200]

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._taken and self.file is not None:
            self.file += data[start:end]


def uploaded_file(call: Call) -> tuple[bytes, str]:
    """The file's bytes, and its name as the client says. Raises InputRefused."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(call.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InputRefused("a multipart/form-data body with a file is wanted", place="Content-Type")
    parts = _Parts()
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        parser.write(call.content)
        parser.finalize()
    except FormParserError as error:
        raise InputRefused(f"the form cannot be read: {error}", place="body") from None
    if parts.file is None:
        raise InputRefused("the form holds no file", place="uploadfile")
    return bytes(parts.file), parts.name
