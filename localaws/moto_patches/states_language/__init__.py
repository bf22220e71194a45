"""Repairs to how moto reads and evaluates the Amazon States Language.

The rules: https://states-language.net/ and
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""
