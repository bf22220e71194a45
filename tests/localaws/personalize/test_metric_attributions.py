"""Metric attributions: the report that an import writes."""

from datetime import UTC, datetime

from .account import INTERACTIONS, ROLE, Account, avro, refusal

QUARTER = 900
START = 1_700_000_100 // QUARTER * QUARTER


def test_an_import_reports_what_recommendations_led_to(account: Account) -> None:
    """Two sources, one of them a campaign by its recommendation id; sums of quarters of an hour."""
    group = account.group("measured")
    fields = (
        ("USER_ID", "string"),
        ("ITEM_ID", "string"),
        ("EVENT_TYPE", "string"),
        ("EVENT_VALUE", ["null", "float"]),
        ("RECOMMENDATION_ID", ["null", "string"]),
        ("EVENT_ATTRIBUTION_SOURCE", ["null", "string"]),
        ("TIMESTAMP", "long"),
    )
    schema = account.schema("measured", avro("Interactions", *fields))
    dataset = account.dataset("measured", "Interactions", schema)
    goods = avro("Items", ("ITEM_ID", "string"), ("PRICE", ["null", "float"]))
    items = account.dataset("measured", "Items", account.schema("priced", goods))
    account.load("priced", items, account.put("priced.csv", "ITEM_ID,PRICE\na,2.5\nb,\n"))
    create = account.personalize.create_metric_attribution
    faulty = [
        {"eventType": "buy", "metricName": "m", "expression": "SUM(Items.COST)"},
        {"eventType": "buy", "metricName": "m", "expression": "AVG(Items.PRICE)"},
        {"eventType": "buy", "metricName": "n", "expression": "SUM(Interactions.EVENT_TYPE)"},
    ]
    output = {"roleArn": ROLE, "s3DataDestination": {"path": "s3://data/reports"}}
    code, message = refusal(
        create, name="m", datasetGroupArn=group, metrics=faulty, metricsOutputConfig=output
    )
    assert (code, message.split("; ")) == (
        "InvalidInputException",
        [
            "metricName 'm' is there twice",
            "SUM(Items.COST): there is no such column",
            "expression 'AVG(Items.PRICE)': write SAMPLECOUNT(), or SUM(Items.COLUMN), or "
            "SUM(Interactions.COLUMN)",
            "SUM(Interactions.EVENT_TYPE): only a column of numbers has a sum",
        ],
    )

    header = ",".join(name for name, _ in fields) + "\n"
    filler = "".join(f"u{n % 60},x,view,,,,{START + n}\n" for n in range(1000))
    account.load("measured", dataset, account.put("measured/1.csv", header + filler))
    solution = account.solution("measured", group, "aws-popularity-count")
    version = account.train(solution)["solutionVersionArn"]
    campaign = account.created("Campaign", name="measured", solutionVersionArn=version)
    shown = account.runtime.get_recommendations(campaignArn=campaign, userId="u")
    attribution = account.created(
        "MetricAttribution",
        name="measured",
        datasetGroupArn=group,
        metrics=[
            {"eventType": "buy", "metricName": "buys", "expression": "SAMPLECOUNT()"},
            {"eventType": "Buy", "metricName": "revenue", "expression": "SUM(Items.PRICE)"},
        ],
        metricsOutputConfig=output,
    )
    account.personalize.update_metric_attribution(
        metricAttributionArn=attribution,
        addMetrics=[
            {
                "eventType": "rate",
                "metricName": "stars",
                "expression": "SUM(Interactions.EVENT_VALUE)",
            }
        ],
    )
    listed = account.personalize.list_metric_attribution_metrics(metricAttributionArn=attribution)
    assert [metric["metricName"] for metric in listed["metrics"]] == ["buys", "revenue", "stars"]

    recommendation = shown["recommendationId"]
    lines = [
        f"u,a,buy,,{recommendation},,{START + 1}",
        f"u,a,buy,,{recommendation},,{START + 2}",
        f"u,b,buy,,{recommendation},,{START + 3}",
        f"u,a,buy,,,mail,{START + QUARTER}",
        f"u,a,buy,,,,{START}",
        f"u,a,rate,4.5,,mail,{START}",
    ]
    location = account.put("measured/2.csv", header + "\n".join(lines) + "\n" + filler)
    job = account.load(
        "measured-2",
        dataset,
        location,
        importMode="INCREMENTAL",
        publishAttributionMetricsToS3=True,
    )
    assert job["status"] == "ACTIVE"
    (key,) = account.keys("reports/")
    assert key.startswith("reports/AggregatedAttributionMetrics-INCREMENTAL-17")
    assert account.get(key).splitlines() == [
        "METRIC_NAME,EVENT_TYPE,VALUE,MATH_FUNCTION,EVENT_ATTRIBUTION_SOURCE,TIMESTAMP",
        f"buys,buy,1.0,samplecount,SOURCE_NAME_UNDEFINED,{START}",
        f"buys,buy,3.0,samplecount,{campaign},{START}",
        f"buys,buy,1.0,samplecount,mail,{START + QUARTER}",
        f"revenue,Buy,2.5,sum,SOURCE_NAME_UNDEFINED,{START}",
        f"revenue,Buy,5.0,sum,{campaign},{START}",
        f"revenue,Buy,2.5,sum,mail,{START + QUARTER}",
        f"stars,rate,4.5,sum,mail,{START}",
    ]

    def sent(metric: str, source: str) -> dict[int, float]:
        """By the start of the quarter of an hour, what CloudWatch has of a metric."""
        response = account.cloudwatch.get_metric_statistics(
            Namespace="AWS/Personalize",
            MetricName=metric,
            Dimensions=[
                {"Name": "EventAttributionSource", "Value": source},
                {"Name": "DatasetGroupArn", "Value": group},
            ],
            StartTime=datetime.fromtimestamp(START - QUARTER, UTC),
            EndTime=datetime.fromtimestamp(START + 3 * QUARTER, UTC),
            Period=QUARTER,
            Statistics=["Sum"],
        )["Datapoints"]
        return {round(point["Timestamp"].timestamp()): point["Sum"] for point in response}

    assert sent("buys", campaign) == {START: 3.0}
    assert sent("stars", "mail") == {START: 4.5}
    tracker = account.personalize.create_event_tracker(name="measured", datasetGroupArn=group)
    account.events.put_events(
        trackingId=tracker["trackingId"],
        userId="u",
        sessionId="s",
        eventList=[
            {
                "eventType": "buy",
                "itemId": "a",
                "sentAt": START + 2 * QUARTER,
                "recommendationId": recommendation,
            }
        ],
    )
    assert sent("revenue", campaign) == {START: 5.0, START + 2 * QUARTER: 2.5}

    code, message = refusal(
        create, name="m", datasetGroupArn=group, metrics=faulty[:1], metricsOutputConfig=output
    )
    assert code == "InvalidInputException"
    good = [{"eventType": "e", "metricName": "m", "expression": "SAMPLECOUNT()"}]
    assert refusal(
        create, name="m", datasetGroupArn=group, metrics=good, metricsOutputConfig=output
    ) == (
        "LimitExceededException",
        "The quota of 1 metric-attribution is reached; delete one first.",
    )


def test_streamed_events_are_attributed_whatever_columns_the_schema_has(account: Account) -> None:
    group = account.group("plainly")
    clicks = avro("Interactions", *INTERACTIONS, ("TIMESTAMP", "long"))
    account.dataset("plainly", "Interactions", account.schema("plainly", clicks))
    account.created(
        "MetricAttribution",
        name="plainly",
        datasetGroupArn=group,
        metrics=[{"eventType": "buy", "metricName": "bought", "expression": "SAMPLECOUNT()"}],
        metricsOutputConfig={"roleArn": ROLE},
    )
    tracker = account.personalize.create_event_tracker(name="plainly", datasetGroupArn=group)
    sold = {"eventType": "buy", "itemId": "a", "sentAt": START}
    sales = [{**sold, "metricAttribution": {"eventAttributionSource": "mail"}}, sold]
    account.events.put_events(
        trackingId=tracker["trackingId"], userId="u", sessionId="s", eventList=sales
    )
    listed = account.cloudwatch.list_metrics(
        Namespace="AWS/Personalize", Dimensions=[{"Name": "DatasetGroupArn", "Value": group}]
    )["Metrics"]
    sources = {
        dimension["Value"]
        for metric in listed
        for dimension in metric["Dimensions"]
        if dimension["Name"] == "EventAttributionSource"
    }
    assert sources == {"mail", "SOURCE_NAME_UNDEFINED"}
