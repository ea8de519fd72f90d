"""Who signed an action of Hyperliquid: what its wallets sign, put together anew, and the address that a signature leads to."""

from typing import Any

from ccxt.static_dependencies import keccak
from ccxt.static_dependencies.msgpack import packb
from coincurve import PrivateKey, PublicKey

CHAIN = 1337


def hashed(data: bytes) -> bytes:
    return bytes(keccak.SHA3(data))


def address_of(private_key: str) -> str:
    return _address(PrivateKey(bytes.fromhex(private_key.removeprefix("0x"))).public_key)


def signer(action: Any, nonce: int, expires: int | None, signature: dict[str, Any], *, testnet: bool) -> str:
    """The address whose key made ``signature`` of an action."""
    r, s = (int(signature[name], 16).to_bytes(32, "big") for name in ("r", "s"))
    compact = r + s + bytes([int(signature["v"]) - 27])
    return _address(PublicKey.from_signature_and_message(compact, _digest(action, nonce, expires, testnet=testnet), hasher=None))


def _digest(action: Any, nonce: int, expires: int | None, *, testnet: bool) -> bytes:
    told = packb(action) + nonce.to_bytes(8, "big") + b"\0"
    if expires is not None:
        told += b"\0" + expires.to_bytes(8, "big")
    kind = hashed(b"Agent(string source,bytes32 connectionId)")
    agent = hashed(kind + hashed(b"b" if testnet else b"a") + hashed(told))
    fields = hashed(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    domain = hashed(fields + hashed(b"Exchange") + hashed(b"1") + CHAIN.to_bytes(32, "big") + bytes(32))
    return hashed(b"\x19\x01" + domain + agent)


def _address(key: PublicKey) -> str:
    return "0x" + hashed(key.format(compressed=False)[1:])[-20:].hex()
