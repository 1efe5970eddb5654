"""A workbook as people have it, written by openpyxl, and its sheet as pandas reads it: workbook.py (writes workbook.xlsx, workbook.csv).

Needs openpyxl 3.1.5 and pandas 3.1.1.
"""

import datetime
import pathlib
import random

import openpyxl
import pandas

PLACE = pathlib.Path(__file__).parent
HEAD = ["day", "time", "sold", "price", "share", "paid", "town", "as_text", "note", "kind"]

draw = random.Random(3)
book = openpyxl.Workbook()
book.active.title = "About"
book.active.append(["Made by hand."])
sheet = book.create_sheet("Sales 2024")
rows = []
for i in range(40):
    day = datetime.date(2023, 12, 20) + datetime.timedelta(days=9 * i)
    time = datetime.time(i % 24, 7 * i % 60)
    sold = datetime.datetime.combine(day, time)
    price = None if i == 7 else round(1000 * draw.random(), 2)
    town = None if i == 9 else ["Zürich", " Genf ", "Ascona, TI"][i % 3]
    note = "#N/A" if i == 11 else i / 4  # an error of a formula
    rows.append([day, time, sold, price, draw.randrange(100) / 100, i % 5 == 0, town, f"{i % 4}.5", note, ["low", "high"][i % 2]])
for column, name in enumerate(HEAD, 2):  # the table begins in B3
    sheet.cell(3, column, name).font = openpyxl.styles.Font(bold=True)
    for row, values in enumerate(rows, 4):
        cell = sheet.cell(row, column, values[column - 2])
        if name in ("price", "share"):
            cell.number_format = {"price": '#,##0.00 "CHF"', "share": "0 %"}[name]
sheet.cell(3 + len(rows) + 3, 30).font = openpyxl.styles.Font(bold=True)  # a cell without a value, far away
book.save(PLACE / "workbook.xlsx")

table = pandas.read_excel(PLACE / "workbook.xlsx", sheet_name="Sales 2024", skiprows=2).dropna(axis=1, how="all").dropna(how="all")
assert list(table) == HEAD and len(table) == len(rows)
table["day"] = table["day"].dt.date
table["paid"] = table["paid"].map({True: "true", False: "false"})
table.to_csv(PLACE / "workbook.csv", index=False)
