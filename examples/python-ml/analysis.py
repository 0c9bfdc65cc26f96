"""Makes up a month of sales, fits a line to it, and leaves a table, a workbook and a picture in /work.

    rnx job run --follow --runtime=python-3.11-ml --upload=analysis.py python analysis.py
"""

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plot
import numpy
import pandas
from sklearn.linear_model import LinearRegression

days = numpy.arange(1, 31)
random = numpy.random.default_rng(seed=7)
sales = pandas.DataFrame({'day': days, 'sold': 20 + 3 * days + random.normal(0, 2, days.size)})

model = LinearRegression().fit(sales[['day']], sales['sold'])
sales['trend'] = model.predict(sales[['day']])

sales.to_csv('/work/sales.csv', index=False)
sales.to_excel('/work/sales.xlsx', index=False)
again = pandas.read_excel('/work/sales.xlsx')

plot.scatter(sales['day'], sales['sold'])
plot.plot(sales['day'], sales['trend'])
plot.savefig('/work/sales.png')

print(f'{len(again)} days, {model.coef_[0]:.1f} more a day')
