"""The words of which people make the names of tables and columns, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Collection

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_PLURALS = {
    **{"people": "person", "series": "series", "news": "news", "media": "media"},
    **{f"{word}s": word for word in ("movie", "cookie", "hoodie", "pie", "selfie", "zombie")},
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


USERS = _words(
    "user customer member account student viewer buyer client profile subscriber reader listener"
    " patient visitor person player guest employee candidate applicant learner consumer shopper"
    " patron passenger borrower renter watcher 会員 顧客 利用者 ユーザー ユーザ 学生"
)
ITEMS = _words(
    "item product article video movie film song track book posting job listing course lesson"
    " recipe restaurant hotel property game app post story episode series show title sku variant"
    " offer deal content media podcast photo document place venue clip program programme dish"
    " vacancy good merchandise album artist news ad material tour trip room 商品 求人 作品"
    " 動画 記事 書籍"
)
EVENTS = _words(
    "event interaction view click play watch history log activity action order purchase rating"
    " review visit impression like favourite favorite bookmark cart basket line transaction borrow"
    " loan rental listen stream download session playback read booking enrolment enrollment"
    " application usage behavior behaviour tracking sale checkout score swipe save wishlist bought"
    " 注文 履歴 購入 閲覧 イベント"
)
EVENT_TYPES = _words(
    "kind type action verb event interaction activity behavior behaviour signal 種別 種類"
)
EVENT_VALUES = (
    _words("rating stars score"),
    _words("progress watched listened played dwell percent completion"),
    _words("quantity qty units count value"),
)
CONTEXTS = _words(
    "device channel platform source medium client os browser context placement surface app"
    " 端末 デバイス 媒体 経路"
)
# Of events: what people who did it do not want to be recommended again.
FINAL_EVENTS = _words(
    "purchase purchased buy bought order ordered checkout apply applied application book booked"
    " booking reserve reserved enrol enroll enrolled subscribe subscribed complete completed finish"
    " finished convert converted conversion rent rented borrow borrowed hire hired 購入 応募"
)
TIMES = (
    _words("occurred happened event timestamp ts viewed watched played clicked purchased ordered"),
    _words("placed bought rated visited started begun created logged recorded time inserted added"),
    _words("at on date datetime when 日時"),
)
NO_TIMES = _words(
    "updated modified deleted removed ended finished expires expired until shipped delivered paid"
    " cancelled canceled returned birth born synced processed scheduled due archived"
)
CREATED = (
    _words("published released launched premiered aired opens opened"),
    _words("created added listed posted available registered inserted"),
    _words("登録日時 公開日"),
)
TITLES = _words("title name headline subject heading caption 名称 題名 タイトル")
TEXTS = _words(
    "description synopsis summary body content text abstract about overview plot details detail"
    " blurb excerpt story teaser lead intro note notes info information 説明 概要 本文"
)
LABELS = TITLES | _words("label slug code key value display")
STATUSES = _words("status state visibility availability condition phase lifecycle stage 状態")
GOOD_STATES = _words(
    "active enabled enable open opened published publish public available live listed released"
    " visible current online approved confirmed verified normal ok onsale on_sale in_stock instock"
)
BAD_STATES = _words(
    "cancelled canceled cancel refunded returned failed void voided rejected deleted removed fraud"
    " spam test declined abandoned expired error"
)
GOOD_FLAGS = _words(
    "active enabled published visible available public live listed open 販売中 公開 有効"
)
BAD_FLAGS = _words(
    "deleted removed archived disabled banned blocked hidden suspended bot test spam fraud inactive"
    " deactivated discontinued cancelled canceled private draft unlisted closed anonymized"
    " anonymised internal withdrawn retired sold expired 削除 非公開 無効"
)
STAFF = _words("staff superuser admin administrator moderator")
ENDED = _words(
    "deleted removed archived disabled banned blocked suspended deactivated discontinued closed"
    " unpublished anonymized anonymised retired withdrawn cancelled canceled unlisted 退会 削除"
)
TECHNICAL = _words(
    "url uri link href image img picture thumbnail icon path file filename slug uuid guid checksum"
    " etag version revision position ordinal sort rank barcode ean isbn upc gtin sku asin hash"
    " stock inventory external legacy import etl sync digest lft rgt trailer poster cover"
)
PERSONAL: tuple[tuple[str, frozenset[str]], ...] = (
    ("an e-mail address", _words("email mail mailbox メール メールアドレス")),
    (
        "a telephone number",
        _words("phone telephone tel mobile cell fax msisdn cellphone 電話 携帯"),
    ),
    (
        "a secret",
        _words(
            "password passwd pwd passphrase pass hash salt token secret otp pin credential apikey"
            " digest signature session cookie fingerprint パスワード"
        ),
    ),
    (
        "an address",
        _words("address street zip zipcode postal postcode house addr line1 line2 住所 郵便番号"),
    ),
    ("a birth date", _words("birth born dob birthday birthdate birthday 生年月日 誕生日")),
    (
        "a number that identifies a person",
        _words("ssn passport iban bic card tax vat licence license nino ip ipaddress mac 口座"),
    ),
    ("a location", _words("lat lng lon latitude longitude geo geom gps coordinates")),
    (
        "a name",
        _words(
            "firstname lastname fullname surname forename nickname nick username login handle"
            " displayname familyname givenname middlename 名前 氏名 姓 名"
        ),
    ),
    ("free text of a person", _words("bio biography avatar selfie comment remarks signature")),
)
NAMES_OF_PERSONS = _words("name display first last full given family middle maiden kana")


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, each in the singular: `viewedPages` → viewed, page.

    Args:
        name: In snake_case, camelCase or any other.
    """
    return [_singular(part.lower()) for part in _PARTS.findall(name)]


def _singular(word: str) -> str:
    if word in _PLURALS:
        return _PLURALS[word]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    is_plural = word.endswith("s") and not word.endswith(("ss", "us", "is", "as", "os"))
    return word[:-1] if is_plural and len(word) > 3 else word


def has(name: str, among: Collection[str]) -> bool:
    """Return whether a name has one of these words, as it is or in the singular.

    Japanese has no blanks: there a word is any part of the name.
    """
    parts = [part.lower() for part in _PARTS.findall(name)]
    if any(part in among for part in [*parts, *words(name), "".join(parts)]):
        return True
    return not name.isascii() and any(not word.isascii() and word in name for word in among)


def base_of_reference(column: str) -> str:
    """Return the name of the thing that a column refers to: `customer_id`, `customerNo` → customer.

    Empty if the name does not say that it refers to something.
    """
    parts = words(column)
    while parts and parts[0] in ("fk", "ref"):
        parts = parts[1:]
    endings = ("id", "uuid", "guid", "no", "number", "key", "code", "fk", "ref", "pk", "番号")
    if len(parts) > 1 and parts[-1] in endings:
        return "_".join(parts[:-1])
    whole = re.fullmatch(r"([a-z]{3,})(id|uuid|no)", column)
    if whole and whole[1] not in ("val", "par", "gr", "inval"):
        return _singular(whole[1])
    return column.removesuffix("番号") if column.endswith("番号") else ""
