"""`VERIFY.txt`: how anyone checks a package with public tools, in Chinese and English."""

from typing import Final

VERIFY_TXT: Final = """\
如何核验本案卷包 / How to check this package
=============================================

案卷包不能为自己作证。请从其他途径（例如本机关的公开网页）取得信任文件和根证书，命名为 trust.txt 与 root.pem，
放在本文件夹之外，并与本包内的副本比对。
A package cannot vouch for itself. Get the trust file and the root certificate another way (for example from the
bureau's public page), keep them outside this folder, and compare them with the copies inside.

在本文件夹中执行 / run inside this folder:

1. 每个文件与清单一致 / every file is the one listed
   sha256sum --check --strict --quiet manifest-sha256.txt
   sha512sum --check --strict --quiet manifest-sha512.txt
   sha256sum --check --strict --quiet tagmanifest-sha256.txt
   sha512sum --check --strict --quiet tagmanifest-sha512.txt
   bagit.py --validate .

2. 标签清单的签名 / the signatures over the tag manifests
   openssl cms -verify -binary -inform DER -in sig/tagmanifest-sha256.txt.p7s \\
       -content tagmanifest-sha256.txt -CAfile ../root.pem -out /dev/null
   openssl cms -verify -binary -inform DER -in sig/tagmanifest-sha512.txt.p7s \\
       -content tagmanifest-sha512.txt -CAfile ../root.pem -out /dev/null

3. 签名的时间戳（如有） / the timestamps over the signatures, where there are any
   openssl ts -verify -token_in -in sig/tagmanifest-sha256.txt.p7s.tsr \\
       -data sig/tagmanifest-sha256.txt.p7s -CAfile ../root.pem
   openssl ts -verify -token_in -in sig/tagmanifest-sha512.txt.p7s.tsr \\
       -data sig/tagmanifest-sha512.txt.p7s -CAfile ../root.pem

4. 电子数据清单的签名（如有） / the signature of the list of electronic data, where there is one
   pdfsig data/list.pdf

5. 全部检查，包括日志证明 / everything, with the proofs of the log
   liuhen verify . --key ../trust.txt
   python3 verify.py . --key ../trust.txt          （如附带 / where it came along）

没有进行的检查不等于通过。bagit.py 与 sha256sum 只说明文件与清单一致，不说明清单由谁制作。
A check that was not made is not passed. bagit.py and sha256sum show that files match the manifests, not who made these.
"""
