"""Signatures: keys in both forms, and the test vector of the standard."""

import pytest

from mmreg_rt.bundle.signature import is_signed, sign
from mmreg_rt.errors import BundleError

pytest.importorskip("cryptography", reason="signatures need the extra 'signing'")

# RFC 8032, section 7.1, test 2
PRIVATE = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
MESSAGE = b"\x72"
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def pem(private):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(private)
    return (
        key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()),
        key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo),
    )


def test_the_standards_test_vector_holds():
    assert sign(MESSAGE, PRIVATE) == SIGNATURE
    assert is_signed(MESSAGE, SIGNATURE, PUBLIC)


def test_keys_may_be_pem():
    private, public = pem(PRIVATE)
    assert sign(MESSAGE, private) == SIGNATURE
    assert is_signed(MESSAGE, SIGNATURE, public)
    assert not is_signed(b"\x73", SIGNATURE, public)


@pytest.mark.parametrize("key", [b"", b"x" * 33, b"-----BEGIN PRIVATE KEY-----\nnone\n"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(BundleError, match="MMREG_E_SIGNATURE_KEY"):
        sign(MESSAGE, key)


def test_a_private_key_given_as_the_public_one_is_refused():
    with pytest.raises(BundleError, match="MMREG_E_SIGNATURE_KEY"):
        is_signed(MESSAGE, SIGNATURE, pem(PRIVATE)[0])
