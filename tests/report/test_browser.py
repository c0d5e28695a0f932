"""The page in a real browser: no errors, nothing overflows, the controls do what they say."""

from __future__ import annotations

import itertools
import os
import shutil

import pytest

from assay.report.content import content
from assay.report.summary import write_html
from tests.lab.measured import measured_results
from tests.report.pages import RUN

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not BROWSER or not DRIVER, reason="needs chromium and chromium-driver, which are not installed"
)

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER, env={**os.environ, "NO_PROXY": "localhost,127.0.0.1"})
    with webdriver.Chrome(options, service) as driver:
        yield driver


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return write_html(content(measured_results(*RUN)), tmp_path_factory.mktemp("page")).as_uri()


def show(browser, address, width=1440, theme="light", media="screen", scripts=True):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    features = [
        {"name": "prefers-color-scheme", "value": theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # a page in motion takes no clicks
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.get(address)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_no_error_and_nothing_overflows(browser, address, width, theme):
    show(browser, address, width, theme)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    beyond = browser.execute_script(
        """return [...document.querySelectorAll("body *")].filter(e =>
             !e.closest(".scroll") && !e.closest("svg") && !e.matches(".skip")
             && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"""
    )
    assert beyond == []


def test_colours_follow_the_theme_and_text_can_be_read(browser, address):
    grounds = set()
    for theme in ("light", "dark"):
        show(browser, address, theme=theme)
        grounds.add(
            browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        )
        assert browser.execute_script(CONTRAST) == []
    assert len(grounds) == 2


# WCAG 2.2, 1.4.3: relative luminance of a text and of the nearest ground behind it.
CONTRAST = """
const numbers = text => text.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ground = e => {
  for (; e; e = e.parentElement) {
    const found = numbers(getComputedStyle(e).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const texts = "p, li, th, td, a, summary, code, pre, h1, h2, h3, caption, span";
return [...document.querySelectorAll(texts)]
  .filter(e => e.textContent.trim()).filter(e => {
    const [a, b] = [luminance(numbers(getComputedStyle(e).color)), luminance(ground(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
  }).map(e => e.outerHTML.slice(0, 80));
"""


def test_two_experiments_can_be_chosen(browser, address):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    show(browser, address)
    said = browser.find_element(By.ID, "said")
    assert "tvm-int8-nhwc is 2.00 times as fast as tvm-fp32-nhwc" in said.text
    Select(browser.find_element(By.ID, "first")).select_by_visible_text("tvm-fp32-nhwc")
    Select(browser.find_element(By.ID, "second")).select_by_visible_text("tflite-int8")
    assert "tvm-fp32-nhwc takes 1.60 times as long as tflite-int8" in said.text
    browser.find_element(By.CSS_SELECTOR, ".choose button").click()
    assert "tflite-int8 is 1.60 times as fast as tvm-fp32-nhwc" in said.text
    Select(browser.find_element(By.ID, "second")).select_by_visible_text("tflite-int8")
    assert said.text == "Choose two different experiments."


def layer_rows(browser):
    """Title, both times and difference of each row of the table of layers."""
    return browser.execute_script(
        """return [...document.querySelectorAll("#layers tbody tr")].map(row =>
             [row.cells[1].firstChild.textContent, ...[2, 3, 4].map(i => row.cells[i].textContent)])
        """
    )


def choose(browser, first, second):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.ID, "first")).select_by_visible_text(first)
    Select(browser.find_element(By.ID, "second")).select_by_visible_text(second)


def test_layers_of_any_two_can_be_compared(browser, address):
    from selenium.webdriver.common.by import By

    show(browser, address)
    static = layer_rows(browser)
    choose(browser, "tvm-fp32-opt3", "tvm-fp32-nhwc")
    assert layer_rows(browser) == [
        ["CONV_2D + ADD 1x1", "5.500", "5.000", "+0.500"],
        ["FULLY_CONNECTED 1x2", "6.500", "2.000", "+4.500"],
    ]
    browser.find_element(By.CSS_SELECTOR, ".choose button").click()
    assert layer_rows(browser)[1] == ["FULLY_CONNECTED 1x2", "2.000", "6.500", "-4.500"]
    foot = browser.find_element(By.CSS_SELECTOR, "#layers tfoot").text
    assert "7.000 12.000 -5.000" in foot
    choose(browser, "tvm-int8-nhwc", "tvm-fp32-nhwc")
    assert layer_rows(browser) == static  # the script says what the page said without it
    choose(browser, "tvm-int8-nhwc", "tflite-fp32")
    said = browser.find_element(By.ID, "layers").text
    assert said.startswith("tflite-fp32 has no times of layers")
    assert browser.get_log("browser") == []


def test_a_layer_tells_its_kernels_by_pointer_and_by_keyboard(browser, address):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, address)
    choose(browser, "tvm-fp32-opt3", "tvm-fp32-nhwc")
    told = browser.find_element(By.ID, "layer-said")
    assert not told.is_displayed()
    rows = browser.find_elements(By.CSS_SELECTOR, "#layers tbody tr")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", rows[1])
    ActionChains(browser).move_to_element(rows[1]).perform()
    assert "tvm-fp32-opt3: k 6.500 ms (5.850 to 7.150), 0.0 Gop/s" in told.text
    browser.execute_script("arguments[0].focus()", rows[0])
    assert "k 1.000 ms" in told.text
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert "k 6.500 ms" in told.text


def test_tables_sort_by_keyboard(browser, address):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, address)
    table = browser.find_element(By.CSS_SELECTOR, "#latency table")
    heading = table.find_elements(By.CSS_SELECTOR, "thead th")[1]
    names = lambda: [e.text for e in table.find_elements(By.CSS_SELECTOR, "tbody th")]  # noqa: E731
    by_time = ["tvm-int8-nhwc", "tflite-int8", "tvm-fp32-nhwc", "tflite-fp32", "tvm-fp32-opt3"]
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert names() == by_time
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert names() == by_time[::-1]
    assert heading.get_attribute("aria-sort") == "descending"


def test_it_is_complete_without_scripts_and_in_print(browser, address):
    from selenium.webdriver.common.by import By

    show(browser, address, scripts=False)
    assert not browser.find_element(By.CSS_SELECTOR, ".choose").is_displayed()
    assert "2.00 times as fast" in browser.find_element(By.ID, "said").text
    assert layer_rows(browser) == [
        ["CONV_2D + ADD 1x1", "2.250", "5.000", "-2.750"],
        ["FULLY_CONNECTED 1x2", "0.750", "2.000", "-1.250"],
    ]
    show(browser, address, media="print", theme="dark")
    assert not browser.find_element(By.TAG_NAME, "nav").is_displayed()
    ground = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    assert ground == "rgba(255, 255, 255, 1)"


def test_what_is_for_assistive_technology_is_there(browser, address):
    show(browser, address)
    lacking = browser.execute_script(
        """return [
          ...document.querySelectorAll("svg:not([role=img][aria-label])"),
          ...document.querySelectorAll("section:not([aria-labelledby])"),
          ...[...document.querySelectorAll("select")].filter(e => !e.labels.length),
          ...[...document.querySelectorAll("button")].filter(e => !e.textContent.trim()),
          ...document.querySelectorAll(".scroll:not([tabindex][role=region][aria-label])"),
        ].map(e => e.outerHTML.slice(0, 80))"""
    )
    assert lacking == []
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert browser.execute_script("return document.documentElement.lang") == "en"
