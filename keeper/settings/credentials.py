"""Where the keys of an account are: files, or the environment, never the configuration file itself."""

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic.json_schema import SkipJsonSchema

from keeper.settings.addresses import SECRETS, WalletAddress
from keeper.settings.feeds import Section
from keeper.settings.values import Text, fault, read_text


def read_secret_text(value: object) -> SecretStr:
    """A secret that came in through the environment."""
    return value if isinstance(value, SecretStr) else SecretStr(read_text(value))


SecretText = Annotated[SecretStr, BeforeValidator(read_secret_text)]


class CredentialsSettings(Section):
    """Where the keys of an account are: files, or environment variables, never the configuration file itself."""

    api_key_file: Text | None = Field(
        default=None, description="file that holds the API key, mode 600; a relative path starts at the configuration file"
    )
    secret_file: Text | None = Field(default=None, description="file that holds the API secret, mode 600")
    passphrase_file: Text | None = Field(
        default=None, description="file that holds the passphrase of the API key, mode 600; on okx, kucoinfutures and bitget"
    )
    wallet_address: WalletAddress | None = Field(
        default=None, description="address of the account, 0x and 40 hexadecimal digits; on hyperliquid"
    )
    private_key_file: Text | None = Field(
        default=None, description="file that holds the private key of the wallet that signs, mode 600; on hyperliquid"
    )
    api_key: SkipJsonSchema[SecretText | None] = Field(default=None, description="the API key, from the environment only")
    secret: SkipJsonSchema[SecretText | None] = Field(default=None, description="the API secret, from the environment only")
    passphrase: SkipJsonSchema[SecretText | None] = Field(default=None, description="the passphrase, from the environment only")
    private_key: SkipJsonSchema[SecretText | None] = Field(default=None, description="the private key, from the environment only")

    @field_validator(*SECRETS)
    @classmethod
    def _one_of_both(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get(f"{info.field_name}_file") is not None:
            raise fault(f"is given twice: keep {info.field_name} or {info.field_name}_file")
        return value
