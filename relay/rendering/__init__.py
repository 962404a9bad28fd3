"""The bounded worker around rules/render.py: no template can take more than half a second, 512 MiB or 64 KiB."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relay.rendering.files import read_sources
    from relay.rendering.renderer import Renderer

__all__ = ["Renderer", "read_sources"]


def __getattr__(name: str) -> Any:
    # The worker imports this package too, and must not pay for asyncio.
    if name == "Renderer":
        from relay.rendering.renderer import Renderer

        return Renderer
    if name == "read_sources":
        from relay.rendering.files import read_sources

        return read_sources
    raise AttributeError(name)
