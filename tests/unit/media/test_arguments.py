"""The arguments: allow-lists stand before the input, tags are dropped, each stream has its own codec."""

from dataclasses import replace

from ingest.media.arguments import convert_arguments, probe_arguments
from ingest.media.encoding import playable_options, poster_options, view_options
from ingest.media.plan import plan
from tests.unit.media.test_plan import AAC, BASE, with_audio, with_video

LISTS = ("-protocol_whitelist", "-format_whitelist", "-codec_whitelist", "-f", "-max_streams", "-max_pixels")


def after(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def made(probe: object) -> list[str]:
    chosen = plan(probe)  # type: ignore[arg-type]
    return convert_arguments(
        "mov",
        streams=[stream.index for stream in chosen.streams],
        output="playable.mp4",
        options=playable_options(chosen),
        has_progress=True,
    )


def test_every_list_stands_before_the_input() -> None:
    arguments = made(BASE)
    source = arguments.index("-i")
    assert arguments[source + 1] == "/in/source"
    assert all(arguments.index(name) < source for name in LISTS)
    assert arguments[-1] == "/out/playable.mp4"
    assert all(name in probe_arguments("mov") for name in LISTS)


def test_a_remux_copies_and_drops_tags() -> None:
    arguments = made(BASE)
    assert [arguments[at + 1] for at, name in enumerate(arguments) if name == "-map"] == ["0:0", "0:1"]
    assert after(arguments, "-c:v") == "copy"
    assert after(arguments, "-c:a:0") == "copy"
    assert after(arguments, "-map_metadata") == "-1"
    assert after(arguments, "-movflags") == "+faststart"
    assert "-nostdin" in arguments
    assert after(arguments, "-progress") == "pipe:1"


def test_each_sound_track_is_treated_by_itself() -> None:
    speech = replace(AAC, index=2, codec="amr_nb", profile="", sample_rate=8000, channels=1, language="zho")
    arguments = made(with_audio(AAC, speech))
    assert after(arguments, "-c:a:0") == "copy"
    assert after(arguments, "-c:a:1") == "aac"
    assert after(arguments, "-ar:a:1") == "48000"
    assert after(arguments, "-ac:a:1") == "1"
    assert after(arguments, "-metadata:s:a:1") == "language=zho"


def test_an_encode_scales_deinterlaces_and_slows_where_it_must() -> None:
    arguments = made(with_video(codec="mpeg2video", width=3840, height=2160, field_order="tt", fps="100/1"))
    assert after(arguments, "-filter:v") == "yadif=deint=interlaced,fps=60,scale=1920:1080,setsar=1,settb=1/90000"
    assert after(arguments, "-force_key_frames").startswith("expr:")
    assert after(arguments, "-c:v") == "libx264"


def test_stills() -> None:
    chosen = plan(BASE)
    assert poster_options(chosen)["filter:v"] == "scale=640:360,setsar=1"
    assert view_options(replace(chosen, orientation=6))["filter:v"] == "transpose=clock,scale=1920:1080"
