"""Secrets at rest: in the keyring of the operating system, or sealed in one file."""

from bot.secrets.keychain import Keychain, OsKeychain
from bot.secrets.passphrase import Passphrase
from bot.secrets.vault import FILE_NAME, Place, Vault

__all__ = ["FILE_NAME", "Keychain", "OsKeychain", "Passphrase", "Place", "Vault"]
