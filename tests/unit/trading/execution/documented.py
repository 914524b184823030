"""What Binance documents of spot errors, as numbers and texts: the yardstick of the classifier.

Read in `errors.md` and "HTTP Return Codes" of its spot API documents, mid 2026.
"""

CODES_DOCUMENTED = (
    # 10xx
    *(-1000, -1001, -1002, -1003, -1006, -1007, -1008, -1010, -1013, -1014, -1015, -1016),
    *(-1020, -1021, -1022, -1033, -1034, -1035),
    # 11xx and 12xx
    *(-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1111, -1112, -1114, -1115),
    *(-1116, -1117, -1118, -1119, -1120, -1121, -1122, -1125, -1127, -1128, -1130, -1134),
    *(-1135, -1139, -1145, -1151, -1152, -1153, -1155, -1158, -1160, -1161, -1165, -1166),
    *(-1168, -1169, -1170, -1171, -1172, -1173, -1174, -1175, -1176, -1177, -1178, -1179),
    *(-1180, -1181, -1182, -1183, -1184, -1185, -1186, -1187, -1188, -1189, -1190, -1191),
    *(-1194, -1196, -1197, -1198, -1199, -1210, -1211, -1220, -1221, -1222, -1223, -1224),
    -1225,
    # 20xx
    *(-2010, -2011, -2013, -2014, -2015, -2016, -2021, -2022, -2026, -2035, -2036, -2038),
    *(-2039, -2042),
)
# -1131 left the list and is still sent for a recvWindow above a minute; -4116 is of futures.
CODES_KNOWN_FROM_ELSEWHERE = (-1131, -4116)

# Of -1010, -2010, -2011 and -2038.
TEXTS_DOCUMENTED = (
    "Unknown order sent.",
    "Duplicate order sent.",
    "Market is closed.",
    "Account has insufficient balance for requested action.",
    "Market orders are not supported for this symbol.",
    "Iceberg orders are not supported for this symbol.",
    "Stop loss orders are not supported for this symbol.",
    "Stop loss limit orders are not supported for this symbol.",
    "Take profit orders are not supported for this symbol.",
    "Take profit limit orders are not supported for this symbol.",
    "Order amend is not supported for this symbol.",
    "Price * QTY is zero or less.",
    "IcebergQty exceeds QTY.",
    "This action is disabled on this account.",
    "This account may not place or cancel orders.",
    "Unsupported order combination",
    "Order would trigger immediately.",
    "Cancel order is invalid. Check origClOrdId and orderId.",
    "Order would immediately match and take.",
    "The relationship of the prices for the orders is not correct.",
    "OCO orders are not supported for this symbol",
    "Quote order qty market orders are not support for this symbol.",
    "Trailing stop orders are not supported for this symbol.",
    "Order cancel-replace is not supported for this symbol.",
    "This symbol is not permitted for this account.",
    "This symbol is restricted for this account.",
    "Order was not canceled due to cancel restrictions.",
    "Rest API trading is not enabled.",
    "WebSocket API trading is not enabled.",
    "FIX API trading is not enabled.",
    "Order book liquidity is less than `LOT_SIZE` filter minimum quantity.",
    "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.",
    "Order book liquidity is less than symbol minimum quantity.",
    "Order amend (quantity increase) is not supported.",
    "The requested action would change no state; rejecting",
    "Pegged orders are not supported for this symbol.",
    "This order type may not use pegged price.",
    "This price peg cannot be used with this order type.",
    "Order book liquidity is too low for this pegged order.",
    "OPO orders are not supported for this symbol.",
    "Order amend (pending OPO order) is not supported.",
)
TEXTS_KNOWN_FROM_ELSEWHERE = (
    "Invalid quantity.",
    "Invalid price.",
    "Stop price would trigger immediately.",
)

FILTERS_DOCUMENTED = (
    "PRICE_FILTER",
    "PERCENT_PRICE",
    "LOT_SIZE",
    "MIN_NOTIONAL",
    "NOTIONAL",
    "ICEBERG_PARTS",
    "MARKET_LOT_SIZE",
    "MAX_POSITION",
    "MAX_NUM_ORDERS",
    "MAX_NUM_ALGO_ORDERS",
    "MAX_NUM_ICEBERG_ORDERS",
    "MAX_NUM_ORDER_AMENDS",
    "MAX_NUM_ORDER_LISTS",
    "TRAILING_DELTA",
    "EXCHANGE_MAX_NUM_ORDERS",
    "EXCHANGE_MAX_NUM_ALGO_ORDERS",
    "EXCHANGE_MAX_NUM_ICEBERG_ORDERS",
    "EXCHANGE_MAX_NUM_ORDER_LISTS",
)
# Filters that symbols and accounts carry, without a line in the list of failures.
FILTERS_KNOWN_FROM_ELSEWHERE = ("PERCENT_PRICE_BY_SIDE", "PRICE_RANGE", "MAX_ASSET", "T_PLUS_SELL")

STATUSES_DOCUMENTED = (403, 409, 418, 429)
