"""The allow-lists, as data: which protocols, demuxers, decoders and sizes are met at all.

A demuxer is forced by content and is then the only one on the list, so that a file cannot name another file. Formats
that point elsewhere (hls, dash, concat, sdp, image2 patterns) have no row here. A decoder stands here when cameras,
phones, recorders or browsers write what it reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PROTOCOLS: Final = "file,pipe"

MAX_STREAMS: Final = 64
MAX_PIXELS: Final = 150_000_000
"""Per picture, moving or not: above the largest phone sensors in use (108 megapixels)."""
MAX_DURATION_MS: Final = 72 * 3600 * 1000
MAX_AUDIO_TRACKS: Final = 8

_VIDEO: Final = (
    *("h264", "hevc", "mpeg4", "mjpeg", "mpeg2video", "mpeg1video", "h263", "msmpeg4v1", "msmpeg4v2", "msmpeg4"),
    *("flv", "vp8", "vp9", "libdav1d", "av1", "wmv1", "wmv2", "wmv3", "vc1", "dvvideo", "prores", "png"),
)
_AUDIO: Final = (
    *("aac", "aac_latm", "mp3float", "mp3", "mp2float", "mp2", "ac3", "eac3", "opus", "libopus", "vorbis"),
    *("flac", "alac", "amrnb", "amrwb", "gsm", "gsm_ms", "g722", "g723_1", "g726", "g726le", "g729"),
    *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "adpcm_swf", "adpcm_ima_wav", "adpcm_ima_qt"),
    *("adpcm_ms", "adpcm_g722", "adpcm_g726"),
    *("pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"),
    *("pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_bluray", "pcm_dvd"),
)
# Timed text is never shown; its decoders are listed because a probe opens a decoder for every stream.
_TEXT: Final = ("mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text")
STREAM_DECODERS: Final = ",".join((*_VIDEO, *_AUDIO, *_TEXT))


class Kind(StrEnum):
    """What an item is, by its content."""

    FOOTAGE = "footage"
    AUDIO = "audio"
    PHOTO = "photo"
    DOCUMENT = "document"
    ARCHIVE = "archive"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Format:
    """One format that may be parsed: its demuxer, its usual kind, the decoders that it may use.

    `through`: the program that makes a JPEG of it first, where ffmpeg does not read it; it then has no demuxer.
    `has_true_duration`: the container states it, so that data which ends earlier is damage.
    `probe_bytes`, `probe_ms`: how far to look for streams that have no header of their own.
    """

    demuxer: str
    kind: Kind
    media_type: str
    decoders: str = STREAM_DECODERS
    through: str = ""
    has_true_duration: bool = False
    probe_bytes: int = 5_000_000
    probe_ms: int = 5_000


FORMATS: Final[Mapping[str, Format]] = {
    "mov": Format("mov", Kind.FOOTAGE, "video/mp4", has_true_duration=True),
    "matroska": Format("matroska", Kind.FOOTAGE, "video/x-matroska", has_true_duration=True),
    "mpegts": Format("mpegts", Kind.FOOTAGE, "video/mp2t", probe_bytes=32_000_000, probe_ms=12_000),
    "mpeg": Format("mpeg", Kind.FOOTAGE, "video/mpeg", probe_bytes=32_000_000, probe_ms=12_000),
    "avi": Format("avi", Kind.FOOTAGE, "video/x-msvideo", has_true_duration=True),
    "asf": Format("asf", Kind.FOOTAGE, "video/x-ms-asf", has_true_duration=True),
    "flv": Format("flv", Kind.FOOTAGE, "video/x-flv", probe_bytes=32_000_000, probe_ms=12_000),
    "dhav": Format("dhav", Kind.FOOTAGE, "application/octet-stream", probe_bytes=32_000_000, probe_ms=12_000),
    "mxf": Format("mxf", Kind.FOOTAGE, "application/mxf", has_true_duration=True),
    "ivf": Format("ivf", Kind.FOOTAGE, "video/x-ivf"),
    "dv": Format("dv", Kind.FOOTAGE, "video/x-dv", "dvvideo,pcm_s16le"),
    "h264": Format("h264", Kind.FOOTAGE, "video/h264"),
    "hevc": Format("hevc", Kind.FOOTAGE, "video/h265"),
    "h263": Format("h263", Kind.FOOTAGE, "video/h263", "h263"),
    "m4v": Format("m4v", Kind.FOOTAGE, "video/mp4v-es", "mpeg4"),
    "mpegvideo": Format("mpegvideo", Kind.FOOTAGE, "video/mpeg", "mpeg1video,mpeg2video"),
    "mjpeg": Format("mjpeg", Kind.FOOTAGE, "video/x-mjpeg", "mjpeg"),
    "ogg": Format("ogg", Kind.AUDIO, "application/ogg"),
    "wav": Format("wav", Kind.AUDIO, "audio/wav", has_true_duration=True),
    "mp3": Format("mp3", Kind.AUDIO, "audio/mpeg"),
    "aac": Format("aac", Kind.AUDIO, "audio/aac"),
    "amr": Format("amr", Kind.AUDIO, "audio/amr"),
    "flac": Format("flac", Kind.AUDIO, "audio/flac"),
    "ac3": Format("ac3", Kind.AUDIO, "audio/ac3", "ac3"),
    "eac3": Format("eac3", Kind.AUDIO, "audio/eac3", "eac3"),
    "caf": Format("caf", Kind.AUDIO, "audio/x-caf", has_true_duration=True),
    "aiff": Format("aiff", Kind.AUDIO, "audio/aiff", has_true_duration=True),
    "au": Format("au", Kind.AUDIO, "audio/basic", has_true_duration=True),
    "jpeg_pipe": Format("jpeg_pipe", Kind.PHOTO, "image/jpeg", "mjpeg"),
    "png_pipe": Format("png_pipe", Kind.PHOTO, "image/png", "png"),
    "webp_pipe": Format("webp_pipe", Kind.PHOTO, "image/webp", "webp,vp8"),
    "bmp_pipe": Format("bmp_pipe", Kind.PHOTO, "image/bmp", "bmp"),
    "gif": Format("gif", Kind.PHOTO, "image/gif", "gif"),
    "tiff_pipe": Format("tiff_pipe", Kind.PHOTO, "image/tiff", "tiff,mjpeg"),
    "heic": Format("", Kind.PHOTO, "image/heic", "hevc", through="heif-convert"),
    "avif": Format("", Kind.PHOTO, "image/avif", "av1", through="heif-convert"),
    "raw": Format("", Kind.PHOTO, "image/x-raw", "raw", through="exiftool"),
}


def input_options(format_name: str) -> dict[str, str | int]:
    """Return the options that stand before `-i`: the forced demuxer and every list.

    Raises: KeyError, also for a format that goes through another program first.
    """
    allowed = FORMATS[format_name]
    if not allowed.demuxer:
        raise KeyError(format_name)
    return {
        "f": allowed.demuxer,
        "format_whitelist": allowed.demuxer,
        "protocol_whitelist": PROTOCOLS,
        "codec_whitelist": allowed.decoders,
        "max_streams": MAX_STREAMS,
        "max_pixels": MAX_PIXELS,
        "probesize": allowed.probe_bytes,
        "analyzeduration": allowed.probe_ms * 1000,
    }
