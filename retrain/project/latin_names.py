"""Names of columns in any script → names in Latin letters, as Personalize takes no others.

Japanese is translated where its words are known: the reading of a Chinese character depends on the
word, and a transliteration would be Chinese. Other scripts are transliterated.
"""

from __future__ import annotations

import re

from anyascii import anyascii

_JAPANESE = """
会員=member 顧客=customer 利用者=user ユーザー=user ユーザ=user 学生=student 社員=employee
商品=product 製品=product 求人=job 作品=work 動画=video 記事=article 書籍=book 本=book
著者=author 作者=author 出版社=publisher 会社=company 企業=company 店舗=store 店=store
注文=order 購入=purchase 閲覧=view 応募=application 履歴=history 再生=playback 登録=registration
性別=gender 年齢=age 年代=age_group 血液型=blood_type 職業=occupation 学歴=education
国=country 都道府県=prefecture 市区町村=city 市町村=city 都市=city 地域=region 地方=region
言語=language 職種=job_type 業種=industry 業界=industry 部署=department 役職=position
大学=university 学部=faculty 学科=department 専攻=major 学年=grade 卒業=graduation
大分類=main_category 中分類=sub_category 小分類=minor_category 分類=category カテゴリー=category
カテゴリ=category ジャンル=genre タグ=tags 種別=type 種類=type タイプ=type 区分=class 等級=rank
ランク=rank レベル=level プラン=plan ブランド=brand メーカー=maker 素材=material 産地=origin
価格=price 単価=unit_price 定価=list_price 金額=amount 税込=tax_included 送料=shipping_fee
割引=discount 給与=salary 給料=salary 年収=annual_income 月給=monthly_salary 時給=hourly_wage
数量=quantity 個数=quantity 在庫=stock 人数=people 回数=count 件数=count 率=rate 合計=total
評価=rating 点数=score 得点=score 難易度=difficulty 人気=popularity 重量=weight 重さ=weight
長さ=length 高さ=height 幅=width サイズ=size 色=color カラー=color 画質=quality 季節=season
年=year 月=month 日=day 曜日=weekday 日時=date 日付=date 期間=period 時間=time 時刻=time
名称=name 名前=name 名=name 題名=title タイトル=title 説明=description 概要=summary 本文=body
内容=content 備考=note 状態=status ステータス=status 公開=published 有効=active 無効=inactive
経路=channel チャネル=channel 媒体=medium 端末=device デバイス=device 方法=method 支払=payment
支払い=payment 配送=delivery 興味=interest 希望=preferred 勤務地=work_location 勤務=work
雇用=employment 形態=type 番号=number コード=code フラグ=flag 作成=created 更新=updated
書名=title 品名=product_name 曲名=track_title 件名=subject 題目=title 見出し=headline 著者名=author
フリガナ=kana ふりがな=kana カナ=kana あらすじ=synopsis 紹介文=introduction 発売=release
発行=publication 出版=publication 掲載=posting 受入=accession 入荷=arrival 貸出=loan 返却=return
予約=reservation 延長=extension 延滞=overdue 館=branch 図書館=library 分館=branch 棚=shelf
書架=shelf 配架=shelf 蔵書=holding 資料=material 巻=volume 版=edition 判型=format 頁=pages
ページ=pages 対象=target 学校=school 年度=fiscal_year 学級=class 組=class 番組=programme 話=episode
話数=episodes 声優=voice_actor 監督=director 出演=cast 出演者=cast 俳優=actor 歌手=singer
製作=production 制作=production 放送=broadcast 配信=streaming 視聴=viewing 字幕=subtitles
吹替=dubbing 画像=image 店名=store_name 料理=dish 食材=ingredient 味=taste 辛さ=spiciness
調理=cooking 所要=required 最寄=nearest 最寄り=nearest 駅=station 住居=residence 会場=venue
場所=place 部屋=room 階=floor 宿泊=stay 旅行=travel 目的=purpose 車種=car_model 燃料=fuel
性格=character 趣味=hobby 関心=interest 資格=qualification 経験=experience 収入=income 家族=family
世代=generation 星座=zodiac 入会=joining 退会=leaving 会費=fee ポイント=points 累計=total
平均=average 最大=maximum 最小=minimum 上限=upper_limit 下限=lower_limit 税率=tax_rate
税抜=tax_excluded 販売=sale 特価=special_price セール=sale 新品=new 中古=used 可=allowed
不可=not_allowed 済=done 中=in_progress 有無=exists 可否=allowed 対応=supported 必要=required
専用=only 限定=limited 新着=new おすすめ=recommended スタジオ=studio チーム=team グループ=group
シリーズ=series キーワード=keywords テーマ=theme 数=count
"""
_MEANINGS = dict(entry.split("=") for entry in _JAPANESE.split())
_CHINESE = r"[\u3400-\u9fff\uf900-\ufaff々]"
# Of one character some are words by themselves alone, some at the end too: 日 and 日本, 会社名.
_LONG = "|".join(sorted((w for w in _MEANINGS if len(w) > 1), key=lambda word: -len(word)))
_ALONE = "".join(word for word in _MEANINGS if len(word) == 1)
_PARTS = re.compile(
    rf"(?P<known>{_LONG}|[名率色館版可済中数](?!{_CHINESE})|(?<!{_CHINESE})[{_ALONE}](?!{_CHINESE}))"
    rf"|(?P<unknown>{_CHINESE})|(?P<other>.)"
)


def latin(name: str) -> str:
    """Return a name in Latin letters: 商品分類 → product_category, Größe → Grosse, цена → cena.

    Empty if it has a Japanese or Chinese word that is not known here.
    """
    if name.isascii():
        return name
    parts: list[str] = []
    for match in _PARTS.finditer(name):
        if match["unknown"]:
            return ""
        if match["known"]:
            parts.append(f"_{_MEANINGS[match['known']]}_")
        else:
            parts.append(match["other"].replace("の", "_"))
    return anyascii("".join(parts))
