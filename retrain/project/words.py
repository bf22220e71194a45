"""The words of which people make the names of tables and columns, and what they stand for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_PLURALS = {
    **{"people": "person", "series": "series", "news": "news", "media": "media"},
    **{f"{word}s": word for word in ("movie", "cookie", "hoodie", "pie", "selfie", "zombie")},
}


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text, between blanks."""
    return frozenset(text.split())


USERS = word_set(
    "user customer member account student viewer buyer client profile subscriber reader listener"
    " patient visitor person player guest employee candidate applicant learner consumer shopper"
    " patron passenger borrower renter watcher 会員 顧客 利用者 ユーザー ユーザ 学生"
    " 読者 お客様"
)
ITEMS = word_set(
    "item product article video movie film song track book posting job listing course lesson"
    " recipe restaurant hotel property game app post story episode series show title sku variant"
    " offer deal content media podcast photo document place venue clip program programme dish"
    " vacancy good merchandise album artist news ad material tour trip room 商品 求人 作品"
    " 動画 記事 書籍 図書 映画 番組 楽曲"
)
EVENTS = word_set(
    "event interaction view click play watch history log activity action order purchase rating"
    " review visit impression like favourite favorite bookmark cart basket line transaction borrow"
    " loan rental listen stream download session playback read booking enrolment enrollment"
    " application usage behavior behaviour tracking sale checkout score swipe save wishlist bought"
    " 注文 履歴 購入 閲覧 イベント 貸出 予約 応募 視聴 再生 レンタル"
)
EVENT_TYPES = word_set(
    "kind type action verb event interaction activity behavior behaviour signal 種別 種類"
)
# What people do with items, as the values of a column without a telling name say it.
EVENT_NAMES = word_set(
    "view viewed visit visited impression click clicked tap tapped open opened see seen save saved"
    " like liked dislike disliked love loved favourite favourited favorite favorited bookmark"
    " bookmarked share shared rate rated review reviewed comment commented follow followed watch"
    " watched play played listen listened stream streamed read download downloaded skip skipped"
    " add added cart wishlist purchase purchased buy bought order ordered pay paid checkout"
    " book booked reserve reserved rent rented borrow borrowed apply applied enrol enroll enrolled"
    " start started complete completed finish finished subscribe subscribed search searched try"
    " tried 閲覧 表示 視聴 再生 購入 注文 応募 予約 貸出 保存 お気に入り"
)
EVENT_VALUES = (
    word_set("rating stars score"),
    word_set("progress watched listened played dwell percent completion"),
    word_set("quantity qty units count value"),
)
CONTEXTS = word_set(
    "device channel platform source medium client os browser context placement surface app"
    " 端末 デバイス 媒体 経路"
)
# Of events: what people who did it do not want to be recommended again.
FINAL_EVENTS = word_set(
    "purchase purchased buy bought order ordered checkout apply applied application book booked"
    " booking reserve reserved enrol enroll enrolled subscribe subscribed complete completed finish"
    " finished convert converted conversion rent rented borrow borrowed hire hired 購入 応募 貸出"
)
TIMES = (
    word_set(
        "occurred happened event timestamp ts viewed watched played clicked purchased ordered"
        " 貸出日 購入日 注文日 閲覧日 予約日 応募日 視聴日 再生日 利用日 発生日"
    ),
    word_set(
        "placed bought rated visited started begun created logged recorded time inserted added"
    ),
    word_set("at on date datetime when 日時 日付 年月日"),
)
NO_TIMES = word_set(
    "updated modified deleted removed ended finished expires expired until shipped delivered paid"
    " cancelled canceled returned birth born synced processed scheduled due archived"
    " 返却 更新 削除 退会 終了 期限 予定 生年 誕生 発送 配送 取消"
)
CREATED = (
    word_set("published released launched premiered aired opens opened"),
    word_set("created added listed posted available registered inserted"),
    word_set("登録日 公開日 発売日 発行日 出版日 掲載日 受入日 入荷日 追加日 作成日 配信日"),
)
TITLES = word_set(
    "title name headline subject heading caption titel bezeichnung titulo titre titolo nombre nom"
    " nome naam 名称 題名 題目 タイトル 見出し 書名 品名 曲名 件名"
)
# What a title is beside one: original_title.
TITLE_WORDS = word_set("full display original main short long primary official english local")
TEXTS = word_set(
    "description synopsis summary body content text abstract about overview plot details detail"
    " blurb excerpt story teaser lead intro note notes info information 説明 概要 本文 あらすじ"
    " 内容 紹介文 備考"
)
LABELS = TITLES | word_set("label slug code key value display")
STATUSES = word_set(
    "status state visibility availability condition phase lifecycle stage 状態 ステータス 状況"
)
GOOD_STATES = word_set(
    "active enabled enable open opened published publish public available live listed released"
    " visible current online approved confirmed verified normal ok onsale on_sale in_stock instock"
    " 公開 公開中 販売中 有効 掲載中 配信中 募集中 受付中 貸出可 在籍"
)
BAD_STATES = word_set(
    "cancelled canceled cancel refunded returned failed void voided rejected deleted removed fraud"
    " spam test declined abandoned expired error"
    " キャンセル キャンセル済 取消 取消済 返品 返品済 削除 削除済 退会 無効 非公開 不正"
)
GOOD_FLAGS = word_set(
    "active enabled published visible available public live listed open 販売中 公開 公開中 有効"
    " 掲載 掲載中 配信中 募集中 受付中 表示 販売可 購入可 貸出可 予約可 利用可"
)
BAD_FLAGS = word_set(
    "deleted removed archived disabled banned blocked hidden suspended bot test spam fraud"
    " inactive deactivated discontinued cancelled canceled private draft unlisted closed"
    " anonymized anonymised internal withdrawn retired sold expired 削除 削除済 非公開 無効 非表示"
    " 退会 退会済 停止 終了 販売終了 掲載終了 配信終了 募集終了 廃番 廃盤 絶版 除籍 貸出不可"
    " キャンセル 取消"
)
STAFF = word_set("staff superuser admin administrator moderator")
ENDED = word_set(
    "deleted removed archived disabled banned blocked suspended deactivated discontinued closed"
    " unpublished anonymized anonymised retired withdrawn cancelled canceled unlisted 退会 削除"
    " 除籍 廃番 廃盤"
)
TECHNICAL = word_set(
    "url uri link href image img picture thumbnail icon path file filename slug uuid guid checksum"
    " etag version revision position ordinal sort rank barcode ean isbn upc gtin sku asin hash"
    " stock inventory external legacy import etl sync digest lft rgt trailer poster cover"
)


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, each in the singular: `viewedPages` → viewed, page.

    Args:
        name: In snake_case, camelCase or any other.
    """
    return [_singular(part.lower()) for part in _PARTS.findall(_plain(name))]


def _plain(name: str) -> str:
    """Return a name with Latin letters as they are without accents: prénom → prenom."""
    if name.isascii():
        return name
    name = unicodedata.normalize("NFC", name).replace("ß", "ss")
    return "".join(
        unicodedata.normalize("NFD", letter)[0]
        if unicodedata.name(letter, "").startswith("LATIN")
        else letter
        for letter in name
    )


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
    name = _plain(name)
    parts = [part.lower() for part in _PARTS.findall(name)]
    if any(part in among for part in [*parts, *words(name), "".join(parts)]):
        return True
    return not name.isascii() and any(not word.isascii() and word in name for word in among)


def ends_with(name: str, among: Collection[str]) -> bool:
    """Return whether the last word of a name is one of these; of Japanese, whether it ends so."""
    return words(name)[-1:] in [[word] for word in among] or any(
        name.endswith(word) for word in among if not word.isascii()
    )


def title_of(name: str) -> str | None:
    """Return what a column is the title of, `author` of author_name; None if it is no title.

    Empty of a plain title.
    """
    own = words(name)
    if own[-1:] and own[-1] in TITLES:
        return "_".join(own[:-1])
    for ending in sorted((word for word in TITLES if not word.isascii()), key=len, reverse=True):
        if name.endswith(ending):
            return name.removesuffix(ending).removesuffix("の")
    # 商品名; a 名 alone is that of a person
    return name.removesuffix("名") if name.endswith("名") and len(name) > 1 else None


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
