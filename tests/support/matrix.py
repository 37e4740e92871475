"""What cameras, recorders and phones really write: container x picture x sound, each made in a moment.

`CAMERA` are recordings with a picture, `VOICE` recordings of sound alone. A program that lacks an encoder leaves a
combination out and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support import counter, footage

_X264: Final = footage.H264
_X265: Final = footage.HEVC
_AAC: Final = footage.AAC
_MP3: Final = ("-c:a", "libmp3lame", "-b:a", "64k")
_PHONE_SOUND: Final = ("-ar", "8000", "-ac", "1")
_ALAW: Final = ("-c:a", "pcm_alaw", *_PHONE_SOUND)
_MULAW: Final = ("-c:a", "pcm_mulaw", *_PHONE_SOUND)
_PCM: Final = ("-c:a", "pcm_s16le")
_MP2: Final = ("-c:a", "mp2", "-b:a", "128k")
_AC3: Final = ("-c:a", "ac3", "-b:a", "128k")
_OPUS: Final = ("-c:a", "libopus", "-b:a", "48k")
_MPEG4: Final = ("-c:v", "mpeg4", "-q:v", "5", "-g", "25")
_MJPEG: Final = ("-c:v", "mjpeg", "-q:v", "5", "-pix_fmt", "yuvj420p")
_MPEG2: Final = ("-c:v", "mpeg2video", "-q:v", "5", "-g", "12")
_VP8: Final = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k")
_VP9: Final = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "500k")


@dataclass(frozen=True, slots=True)
class Combination:
    """One way to record. `who` says what writes such files; `needs` are encoders that must be there."""

    name: str
    who: str
    video: Sequence[str] = ()
    audio: Sequence[str] = ()
    extra: Sequence[str] = ()
    fps: str = "25"
    more: str = ""
    needs: Sequence[str] = ()
    seconds: float = 3

    @property
    def can_be_made(self) -> bool:
        """Whether this machine's ffmpeg has the encoders."""
        return all(footage.has_encoder(name) for name in self.needs)

    def make(self, folder: Path) -> Path:
        """Make the file."""
        path = folder / self.name
        if self.video:
            return counter.make_counted(
                path,
                fps=self.fps,
                seconds=self.seconds,
                video=self.video,
                audio=self.audio,
                more=self.more,
                extra=self.extra,
            )
        return footage.make_clip(path, seconds=self.seconds, video=(), audio=self.audio, extra=self.extra)


CAMERA: Final[tuple[Combination, ...]] = (
    Combination("mp4-h264-aac.mp4", "body-worn cameras, phones", _X264, _AAC),
    Combination("mp4-h264-faststart.mp4", "drones, exports", _X264, _AAC, ("-movflags", "+faststart")),
    Combination("mp4-h264-fragmented.mp4", "cameras that fear power loss", _X264, _AAC,
                ("-movflags", "+frag_keyframe+empty_moov")),
    Combination("mp4-h264-baseline.mp4", "older body-worn cameras",
                (*_X264, "-profile:v", "baseline", "-bf", "0"), _AAC),
    Combination("mp4-h264-bframes.mp4", "action cameras", footage.B_FRAMES, _AAC),
    Combination("mp4-h264-silent.mp4", "drones", _X264),
    Combination("mp4-h264-mp3.mp4", "cheap recorders", _X264, _MP3),
    Combination("mp4-h264-ac3.mp4", "vehicle recorders", _X264, _AC3),
    Combination("mp4-h264-2997.mp4", "North American cameras", _X264, _AAC, fps="30000/1001"),
    Combination("mp4-h264-vfr.mp4", "phones in the dark", (*_X264, "-fps_mode", "vfr"), _AAC,
                more=",select='not(eq(mod(n\\,3)\\,1))'"),
    Combination("mp4-h264-rotated.mp4", "phones held upright", _X264, _AAC, ("-metadata:s:v:0", "rotate=90")),
    Combination("mp4-h264-100fps.mp4", "slow motion", _X264, _AAC, fps="100", seconds=2),
    Combination("mp4-h264-10bit.mp4", "newer action cameras",
                ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"), _AAC),
    Combination("mp4-h264-422.mp4", "cinema cameras",
                ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p"), _AAC),
    Combination("mp4-h264-7fps.mp4", "time lapse of fixed cameras", _X264, _AAC, fps="7"),
    Combination("mp4-hevc-aac.mp4", "newer body-worn cameras", _X265, _AAC, needs=("libx265",)),
    Combination("mp4-hevc-10bit.mp4", "phones with HDR",
                (*_X265[:4], "-pix_fmt", "yuv420p10le", *_X265[4:]), _AAC, needs=("libx265",)),
    Combination("mp4-mpeg4-aac.mp4", "cameras of the 2000s", _MPEG4, _AAC),
    Combination("mp4-av1-aac.mp4", "the newest phones",
                ("-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p"), _AAC, needs=("libsvtav1",), seconds=2),
    Combination("mov-h264-aac.mov", "iPhones", _X264, _AAC, ("-timecode", "01:00:00:00")),
    Combination("mov-hevc-aac.mov", "iPhones", _X265, _AAC, needs=("libx265",)),
    Combination("mov-h264-pcm.mov", "camcorders", _X264, _PCM),
    Combination("mov-h264-alaw.mov", "network cameras", _X264, _ALAW),
    Combination("mov-mjpeg-pcm.mov", "compact cameras", _MJPEG, _PCM),
    Combination("mov-prores-pcm.mov", "editing exports", ("-c:v", "prores", "-profile:v", "0"), _PCM, seconds=2),
    Combination("avi-mpeg4-mp3.avi", "recorders (XviD)", (*_MPEG4, "-vtag", "XVID"), _MP3),
    Combination("avi-mjpeg-pcm.avi", "compact cameras", _MJPEG, _PCM),
    Combination("avi-h264-pcm.avi", "vehicle recorders", (*_X264, "-bf", "0"), _PCM),
    Combination("avi-h264-mulaw.avi", "DVR exports", (*_X264, "-bf", "0"), _MULAW),
    Combination("avi-dv-pcm.avi", "tapes of DV camcorders",
                ("-c:v", "dvvideo", "-s", "720x576", "-pix_fmt", "yuv420p"), (*_PCM, "-ar", "48000", "-ac", "2")),
    Combination("avi-wmv2-mp3.avi", "old screen recorders", ("-c:v", "wmv2", "-b:v", "800k"), _MP3),
    Combination("avi-msmpeg4-mp3.avi", "old recorders (DivX 3)", ("-c:v", "msmpeg4", "-b:v", "800k"), _MP3),
    Combination("mkv-h264-opus.mkv", "room recorders", _X264, _OPUS),
    Combination("mkv-h264-aac.mkv", "room recorders", _X264, _AAC),
    Combination("mkv-h264-alaw.mkv", "network recorders", _X264, _ALAW),
    Combination("mkv-h264-flac.mkv", "room recorders", _X264, ("-c:a", "flac")),
    Combination("mkv-hevc-aac.mkv", "network recorders", _X265, _AAC, needs=("libx265",)),
    Combination("mkv-mjpeg-pcm.mkv", "machine vision", _MJPEG, _PCM),
    Combination("webm-vp8-vorbis.webm", "browsers", _VP8, ("-c:a", "libvorbis"), needs=("libvpx", "libvorbis")),
    Combination("webm-vp9-opus.webm", "browsers", _VP9, _OPUS, needs=("libvpx-vp9",)),
    Combination("ts-h264-aac.ts", "dashboard cameras", _X264, _AAC, ("-f", "mpegts")),
    Combination("ts-h264-mp2.ts", "set-top recorders", _X264, _MP2, ("-f", "mpegts")),
    Combination("ts-hevc-aac.ts", "dashboard cameras", _X265[:6], _AAC, ("-f", "mpegts"), needs=("libx265",)),
    Combination("m2ts-h264-ac3.mts", "AVCHD camcorders", footage.B_FRAMES, _AC3,
                ("-f", "mpegts", "-mpegts_m2ts_mode", "1")),
    Combination("ts-mpeg2-mp2.ts", "broadcast", _MPEG2, _MP2, ("-f", "mpegts")),
    Combination("ps-mpeg2-mp2.mpg", "DVD camcorders", _MPEG2, _MP2),
    Combination("ps-mpeg1-mp2.mpg", "old recorders", ("-c:v", "mpeg1video", "-q:v", "5"), _MP2),
    Combination("vob-mpeg2-ac3.vob", "DVD recorders of interview rooms", _MPEG2, _AC3),
    Combination("ps-h264-mp2.mpg", "network recorders", _X264, _MP2, ("-f", "vob")),
    Combination("wmv2-wma.wmv", "Windows cameras", ("-c:v", "wmv2", "-b:v", "800k"), ("-c:a", "wmav2")),
    Combination("wmv1-wma.wmv", "old Windows cameras", ("-c:v", "wmv1", "-b:v", "800k"), ("-c:a", "wmav1")),
    Combination("flv-h264-aac.flv", "streaming recorders", _X264, _AAC),
    Combination("flv-sorenson-mp3.flv", "old streaming", ("-c:v", "flv1", "-q:v", "5"),
                (*_MP3, "-ar", "44100")),
    Combination("3gp-mpeg4-aac.3gp", "feature phones", _MPEG4, (*_AAC, "-ac", "1")),
    Combination("3gp-h263-aac.3gp", "old feature phones", ("-c:v", "h263", "-s", "352x288"), (*_AAC, "-ac", "1")),
    Combination("3g2-h264-aac.3g2", "CDMA phones", _X264, _AAC),
    Combination("raw-h264.h264", "DVR dumps", (*_X264, "-bf", "0"), (), ("-f", "h264")),
    Combination("raw-hevc.h265", "DVR dumps", _X265[:6], (), ("-f", "hevc"), needs=("libx265",)),
)  # fmt: skip

VOICE: Final[tuple[Combination, ...]] = (
    Combination("pcm.wav", "voice recorders", audio=_PCM),
    Combination("alaw.wav", "telephone recorders", audio=_ALAW),
    Combination("mulaw.wav", "telephone recorders", audio=_MULAW),
    Combination("adpcm.wav", "cheap recorder pens", audio=("-c:a", "adpcm_ima_wav", *_PHONE_SOUND)),
    Combination("g726.wav", "telephone exchanges", audio=("-c:a", "g726", *_PHONE_SOUND)),
    Combination("voice.mp3", "recorder pens", audio=_MP3),
    Combination("voice.m4a", "phones", audio=_AAC),
    Combination("alac.m4a", "iPhones", audio=("-c:a", "alac")),
    Combination("voice.aac", "streaming recorders", audio=_AAC),
    Combination("vorbis.ogg", "open recorders", audio=("-c:a", "libvorbis"), needs=("libvorbis",)),
    Combination("opus.opus", "messengers", audio=_OPUS),
    Combination("voice.flac", "studio recorders", audio=("-c:a", "flac")),
    Combination("voice.wma", "Windows recorders", audio=("-c:a", "wmav2")),
    Combination("voice.amr", "phones of the 2000s", audio=("-c:a", "libopencore_amrnb", *_PHONE_SOUND),
                needs=("libopencore_amrnb",)),
)  # fmt: skip

NOT_PLAYABLE: Final[Mapping[str, str]] = {}
"""Combinations that end as something else than playable, with the reason."""
