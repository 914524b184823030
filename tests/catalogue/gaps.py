"""What is owed and not proven yet, with the reason; a row without a gap is proven whole."""

GAPS = {
    "W07": (
        "not offered: no local book is kept; quotes are whole messages and depth is read over "
        "REST, so that no difference can be missed"
    ),
    "T21": "not offered: the bot only polls, it opens no port for updates",
    "T22": "not offered: there is no mini app",
    "I08": "not offered: no outside signals are taken",
    "I09": "not offered: no language model is used",
}
