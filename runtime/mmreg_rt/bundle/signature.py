"""Ed25519 signatures (RFC 8032) by the ``cryptography`` package, which is loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import BundleError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES = 64


def sign(message: bytes, private_key: bytes) -> bytes:
    """Return the 64-byte signature of a message.

    Args:
        message: The bytes to sign.
        private_key: 32 raw bytes, or PEM without a password.

    Raises:
        BundleError: The key is not valid, or ``cryptography`` is not installed.
    """
    signature: bytes = _private(private_key).sign(message)
    return signature


def is_signed(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Return whether a signature of a message was made with the private key of ``public_key``.

    Args:
        message: The signed bytes.
        signature: 64 bytes.
        public_key: 32 raw bytes, or PEM.

    Raises:
        BundleError: The key is not valid, or ``cryptography`` is not installed.
    """
    key = _public(public_key)
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _private(key: bytes) -> Ed25519PrivateKey:
    _need_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        pem = key.startswith(b"-----BEGIN")
        loaded = load_pem_private_key(key, None) if pem else Ed25519PrivateKey.from_private_bytes(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as reason:
        raise _bad_key("private", reason) from reason
    if not isinstance(loaded, Ed25519PrivateKey):
        raise _bad_key("private", type(loaded).__name__)
    return loaded


def _public(key: bytes) -> Ed25519PublicKey:
    _need_library()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        pem = key.startswith(b"-----BEGIN")
        loaded = load_pem_public_key(key) if pem else Ed25519PublicKey.from_public_bytes(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as reason:
        raise _bad_key("public", reason) from reason
    if not isinstance(loaded, Ed25519PublicKey):
        raise _bad_key("public", type(loaded).__name__)
    return loaded


def _need_library() -> None:
    try:
        import cryptography  # noqa: F401 (imported by name, so that its absence has its own error)
    except ImportError as reason:
        raise BundleError(
            "MMREG_E_SIGNATURE_LIBRARY",
            "Signatures need the package 'cryptography', which is not installed. Run "
            "pip install 'mmreg-rt[signing]'.",
        ) from reason


def _bad_key(kind: str, reason: object) -> BundleError:
    return BundleError(
        "MMREG_E_SIGNATURE_KEY",
        f"A {kind} Ed25519 key must be 32 raw bytes or PEM; found neither ({str(reason)[:80]}). Give the "
        "right key.",
    )
