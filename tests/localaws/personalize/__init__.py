"""The local Amazon Personalize, through boto3 over HTTP: CSV files to recommendations."""
