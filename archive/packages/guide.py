"""`VERIFY.txt`: how anyone checks a package with public tools, in Chinese and English.

Every line that begins with four blanks is a command (a backslash at its end goes on with the next line). Commands name
only what the package holds, and all but the last two end with 0 on a package that is whole. Tests run what they find.
"""

from collections.abc import Collection
from typing import Final

_MANIFESTS: Final = ("tagmanifest-sha256.txt", "tagmanifest-sha512.txt")

_BEFORE: Final = """\
如何核验本案卷包 / How to check this package
=============================================

案卷包不能为自己作证：包内的一切都可以一并伪造。请从本包以外的途径（例如本机关的公开网页）
取得信任文件 trust.txt 和根证书 root.pem，放在本文件夹旁边（上一级文件夹中）。
包内的 proofs/trust.txt 和 certs/chain.pem 不能代替它们，只供比对。
A package cannot vouch for itself: everything in it can be forged together. Get the trust file
trust.txt and the root certificate root.pem from another source than this package (for example
the bureau's public page), and put them beside this folder. proofs/trust.txt and certs/chain.pem
in here do not replace them; they are for comparison.

以下命令在本文件夹中执行，除另有说明外，每一条都须以退出码 0 结束。
没有进行的检查不等于通过。
Run the commands inside this folder; unless said otherwise, each has to end with exit code 0.
A check that was not made is not passed.

不用命令行：用浏览器打开 verify.html，可以断网。核验程序本身最好也从包外取得。
Without a command line: open verify.html in a browser; it works with the network off. Better get
the verifier itself from another source too.

0. 根证书就是信任文件所指的那一张：显示 trust.txt 中的一行。
   时间戳由外部机构签发时，把该机构的根证书附在 root.pem 之后。
   The root certificate is the one that the trust file names: a line of trust.txt is shown.
   Where an outside authority made the timestamps, append its root certificate to root.pem.

    grep "^root sha256:$(openssl x509 -in ../root.pem -outform DER | sha256sum | cut -c1-64)$" ../trust.txt

1. 每个文件都与清单一致，没有缺少；data/ 中没有多余。
   这只说明文件与清单一致，不说明清单由谁制作。
   Every file is the one that is listed, none is missing, and none is too many in data/.
   That says nothing about who made the lists.

    sha256sum --check --strict --quiet manifest-sha256.txt
    sha512sum --check --strict --quiet manifest-sha512.txt
    sha256sum --check --strict --quiet tagmanifest-sha256.txt
    sha512sum --check --strict --quiet tagmanifest-sha512.txt
    bagit.py --validate .

2. 标签清单由本机关签名。标签清单列出两份文件清单，因此签名涵盖全部文件。
   The archive has signed the tag manifests. They list the manifests, so the signatures cover
   every file.

"""
_TIMESTAMPS: Final = """
{number}. 时间戳证明签名在所示时间已经存在；签名者证书此后到期，不影响当时的签名。
   证书到期之后，第 2 步的命令须加 -attime 和该时间的 Unix 秒数。
   The timestamps prove that the signatures were there at the time shown; a certificate that ended
   later does not spoil them. Once it has ended, the commands of step 2 need -attime and that time
   in Unix seconds.

"""
_CRLS: Final = """
{number}. 吊销列表由根证书签发（显示 verify OK）。签名者的证书不应在签名之前已被吊销。
   The revocation lists were issued by the root (it says verify OK). The signer's certificate must
   not have been revoked before it signed.

"""
_LIST: Final = """
{number}. 电子数据清单的签名：须显示 "Signature is Valid" 和 "Total document signed"。
   pdfsig 不认识本机关的根证书，会照此说明；签名者是谁，以第 2 步为准。
   The signature of the list of electronic data: it has to say "Signature is Valid" and
   "Total document signed". pdfsig does not know the bureau's root and says so; for the signer,
   step 2 counts.

    pdfsig data/list.pdf
"""
_LAST: Final = """
{number}. 全部检查，包括日志证明和见证签名。两个程序任选其一，结论相同。
   退出码：0 有效，1 无效，2 未能确认。
   是否有条目被隐去，只有对照日志副本才能查明：加 --log 和副本所在文件夹。
   不加时，这一项未检查，退出码为 2。
   Everything, with the proofs of the log and the cosignatures of the witnesses. Either program
   will do, they say the same. Exit code: 0 valid, 1 invalid, 2 not established. Whether entries
   were kept back shows only against a copy of the log: add --log and the folder of the copy.
   Without it that is not checked, and the exit code is 2.

    python3 verify.py . --key ../trust.txt
    liuhen verify . --key ../trust.txt
"""


def verify_txt(paths: Collection[str], *, is_timestamped: bool) -> bytes:
    """Return VERIFY.txt for a package that holds these files, and tokens over its signatures if `is_timestamped`."""
    parts = [_BEFORE, *(_signature(name) for name in _MANIFESTS)]
    number = 3
    for heading, commands in (
        (
            _TIMESTAMPS,
            [*(_tokens() if is_timestamped else []), *map(_anchor, _ending(paths, "proofs/anchors/", ".tsr"))],
        ),
        (_CRLS, [_crl(path) for path in _ending(paths, "crls/", ".crl")]),
        (_LIST, [""] if "data/list.pdf" in paths else []),
        (_LAST, [""]),
    ):
        if commands:
            parts += [heading.format(number=number), *commands]
            number += 1
    return "".join(parts).encode()


def _ending(paths: Collection[str], folder: str, suffix: str) -> list[str]:
    return sorted(path for path in paths if path.startswith(folder) and path.endswith(suffix))


def _signature(name: str) -> str:
    return (
        f"    openssl cms -verify -binary -inform DER -in sig/{name}.p7s \\\n"
        f"        -content {name} -CAfile ../root.pem -certfile certs/chain.pem -out /dev/null\n"
    )


def _tokens() -> list[str]:
    told = []
    for name in _MANIFESTS:
        told += [_token(f"sig/{name}.p7s.tsr", f"sig/{name}.p7s")]
        told += [f"    openssl ts -reply -token_in -in sig/{name}.p7s.tsr -token_out -text\n"]
    return told


def _anchor(path: str) -> str:
    return _token(path, path.removesuffix(".tsr") + ".ckpt")


def _token(token: str, data: str) -> str:
    return (
        f"    openssl ts -verify -token_in -in {token} \\\n"
        f"        -data {data} -CAfile ../root.pem -untrusted certs/chain.pem\n"
    )


def _crl(path: str) -> str:
    return f"    openssl crl -inform DER -in {path} -CAfile ../root.pem -noout -text\n"
