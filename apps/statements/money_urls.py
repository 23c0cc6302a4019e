"""Where the money is: settlements, the bank, payouts, terms."""

from django.urls import path

from apps.statements.views import banking, money, payouts, reserve, terms

app_name = "settlements"
urlpatterns = [
    path("", money.money_where, name="money_where"),
    path("settlements/", money.settlement_list, name="settlement_list"),
    path("settlements/<int:settlement_id>/", payouts.settlement_detail, name="settlement_detail"),
    path("settlements/<int:settlement_id>/hold/", payouts.settlement_hold, name="settlement_hold"),
    path("bank/", money.bank_line_list, name="bank_line_list"),
    path("bank/<int:bank_line_id>/", payouts.bank_line_detail, name="bank_line_detail"),
    path("bank/upload/", banking.bank_upload, name="bank_upload"),
    path("bank/accounts/new/", banking.bank_account_create, name="bank_account_create"),
    path("bank/accounts/<int:bank_account_id>/columns/", banking.bank_columns, name="bank_columns"),
    path("payouts/<int:payout_id>/", payouts.payout_detail, name="payout_detail"),
    path("payouts/<int:payout_id>/undo/", payouts.payout_undo, name="payout_undo"),
    path("terms/", terms.terms_list, name="terms_list"),
    path("terms/<int:account_id>/", terms.terms_edit, name="terms_edit"),
    path("reserve/", reserve.reserve_list, name="reserve_list"),
    path("reserve/<int:account_id>/", reserve.reserve_detail, name="reserve_detail"),
    path("reserve/<int:account_id>/change/", reserve.reserve_edit, name="reserve_edit"),
    path("reserve/<int:account_id>/warning/", reserve.watch_edit, name="watch_edit"),
    path("workdays/", terms.workday_list, name="workday_list"),
]
