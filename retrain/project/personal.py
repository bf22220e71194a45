"""Which columns hold what of a person, by the words of their names or by their values.

The words are English, German, French, Spanish, Portuguese, Italian, Dutch and Japanese ones, and
the commonest of Chinese, Korean and Russian. Other languages are known by their values alone.
"""

from __future__ import annotations

import re

from retrain.project.database.schema import ColumnFacts
from retrain.project.words import ends_with, has, word_set, words

LANGUAGES = "English, German, French, Spanish, Portuguese, Italian, Dutch and Japanese"

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"(\+|\(?0)[\d\s()./-]{6,}\d")
_IP = re.compile(r"(\d{1,3}\.){3}\d{1,3}(/\d+)?|[0-9a-fA-F]*:[0-9a-fA-F:]{4,}")
_VALUES = (
    (_EMAIL, "an e-mail address", 0.3),
    (_PHONE, "a telephone number", 0.8),
    (_IP, "an address of a machine", 0.8),
)
# What of a thing's table is personal all the same.
_OF_THINGS = ("an e-mail address", "a telephone number", "a secret")

# What it is, its words, and parts of at least five letters that only such compound words have.
_PERSONAL: tuple[tuple[str, frozenset[str], tuple[str, ...]], ...] = (
    (
        "an e-mail address",
        word_set(
            "email mail mailbox emailadresse courriel correo メール メールアドレス 邮箱 이메일"
            " почта"
        ),
        ("mailadres",),
    ),
    (
        "a telephone number",
        word_set(
            "phone telephone tel mobile cell fax msisdn cellphone telefon telefono telefone"
            " telefoon handy handynummer mobil movil celular cellulare 電話 携帯 手机 电话 전화"
            " телефон"
        ),
        ("telefon", "telefoon", "mobilnum", "rufnummer"),
    ),
    (
        "a secret",
        word_set(
            "password passwd pwd passphrase pass hash salt token secret otp pin credential apikey"
            " digest signature session cookie fingerprint passwort kennwort contrasena senha"
            " wachtwoord パスワード 暗証 密码 비밀번호 пароль"
        ),
        ("passwor", "kennwort", "motdepasse", "wachtwoord"),
    ),
    (
        "an address",
        word_set(
            "address street zip zipcode postal postcode house addr line1 line2 adresse anschrift"
            " strasse strase str plz hausnummer hausnr rue domicilio direccion calle indirizzo"
            " endereco rua cep adres straat huisnummer 住所 郵便番号 番地 建物名 地址 주소 адрес"
            " улица"
        ),
        ("strasse", "anschrift", "adresse", "postleitzahl", "hausnummer", "straat", "wohnort"),
    ),
    (
        "a birth date",
        word_set(
            "birth born dob birthday birthdate birthday naissance nacimiento nascimento nascita"
            " 生年月日 誕生日 生日 생년월일 рождения"
        ),
        ("geburt", "geboorte"),
    ),
    (
        "a number that identifies a person",
        word_set(
            "ssn passport iban bic card tax vat licence license nino ip ipaddress mac konto dni nif"
            " curp rfc cpf cedula pesel bsn siren pasaporte passeport passaporto 口座 マイナンバー"
            " 個人番号 免許 旅券 パスポート 保険証 身份证 паспорт инн"
        ),
        ("konto", "steuernummer", "steuerid", "ausweis", "versicherungsn", "codicefiscale"),
    ),
    ("a location", word_set("lat lng lon latitude longitude geo geom gps coordinates"), ()),
    (
        "a name",
        word_set(
            "firstname lastname fullname surname forename nickname nick username login handle"
            " displayname familyname givenname middlename nachname vorname prenom apellido"
            " apellidos cognome sobrenome apelido voornaam achternaam 名前 氏名 姓 名 フリガナ"
            " ふりがな カナ 氏名カナ ニックネーム 姓名 昵称 이름 фамилия отчество"
        ),
        ("vorname", "nachname", "benutzername", "voornaam", "achternaam"),
    ),
    (
        "free text of a person",
        word_set("bio biography avatar selfie comment remarks signature 自己紹介"),
        (),
    ),
)
_NAMES = word_set("name nombre nom nome naam имя")  # of a person's table
_NAMES_OF_PERSONS = word_set("name display first last full given family middle maiden kana")


def personal_by_name(name: str) -> str | None:
    """Return what of a person a column holds by its name, None if its name says nothing."""
    own = words(name)
    # steuer_nummer and steuernummer, mot_de_passe and motdepasse
    whole = "".join(own)
    return next(
        (
            what
            for what, known, parts in _PERSONAL
            if has(name, known) or any(part in whole for part in parts)
        ),
        None,
    )


def personal(column: ColumnFacts, *, is_person: bool) -> str | None:
    """Return what of a person a column holds, by its name or its values; None for nothing.

    Args:
        column: The column.
        is_person: Whether a row of its table is a person, so that names are personal.
    """
    what = personal_by_name(column.name)
    if column.kind in ("date", "time", "boolean"):
        return what if is_person and what == "a birth date" and column.kind != "boolean" else None
    if what and (is_person or what in _OF_THINGS):
        return what
    if is_person and _is_name(column):
        return "a name"
    if column.kind in ("text", "json"):
        for pattern, meaning, least in _VALUES:
            if column.share_of(pattern) > least:
                return meaning
    return None


def _is_name(column: ColumnFacts) -> bool:
    """Return whether a column of a person's table is named like a name: `kundenname`, `nombre`."""
    own = words(column.name)
    if not own:
        return False
    if own[-1] in _NAMES or own[-1].endswith(("name", "naam")) or own[0] in _NAMES:
        return True
    if ends_with(column.name, ("名", "имя")):
        return True
    return column.kind == "text" and set(own) <= _NAMES_OF_PERSONS
