"""The addresses of the portal. Everybody may ask for all of them; a ticket's secret is in its address and in no log."""

from __future__ import annotations

from django.urls import URLPattern, path

from gridloop.web.portal import cases, home, report, ticket

urlpatterns: list[URLPattern] = [
    path("", home.home, name="home"),
    path("report", report.report, name="report"),
    path("near", report.near, name="near"),
    path("find", ticket.find, name="find"),
    path("t/<str:secret>", ticket.ticket, name="ticket"),
    path("t/<str:secret>/answer", ticket.answer, name="answer"),
    path("t/<str:secret>/data", ticket.data, name="data"),
    path("t/<str:secret>/pictures/<int:picture>", ticket.picture, name="ticket_picture"),
    path("cases", cases.cases, name="cases"),
    path("cases.csv", cases.table, name="cases_csv"),
    path("cases.geojson", cases.squares, name="cases_geojson"),
    path("cases/<str:number>", cases.case, name="case"),
    path("cases/<str:number>/pictures/<int:picture>", cases.picture, name="picture"),
    path("feed.atom", cases.feed, name="feed"),
    path("follow", home.follow, name="follow"),
    path("privacy", home.privacy, name="privacy"),
]
